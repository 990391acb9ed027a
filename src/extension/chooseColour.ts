// Whether a run sees its images in colour or in gray: chosen in Train on Folder, remembered for this workspace.
import * as v from 'valibot';
import * as vscode from 'vscode';
import { COLOURS, type Colour } from '../protocol/run.js';

const KEY = 'colour';
const remembered = v.picklist(COLOURS);

/** What was last chosen in this workspace, else colour. */
export function rememberedColour(memory: vscode.Memento): Colour {
  const parsed = v.safeParse(remembered, memory.get(KEY));
  return parsed.success ? parsed.output : 'rgb';
}

/** `colour` or `gray`, in the person's language. */
export function colourName(colour: Colour): string {
  switch (colour) {
    case 'rgb': return vscode.l10n.t('colour');
    case 'gray': return vscode.l10n.t('gray');
  }
}

/** Offers both. Undefined when the person changes their mind. */
export async function chooseColour(memory: vscode.Memento): Promise<Colour | undefined> {
  const rows = COLOURS.map((colour): vscode.QuickPickItem & { colour: Colour } => ({ label: colourName(colour), detail: whenToChoose(colour), colour }));
  const chosen = await vscode.window.showQuickPick(rows, { title: vscode.l10n.t('Images'), placeHolder: vscode.l10n.t('What the network sees of the images'), matchOnDetail: true });
  if (chosen === undefined) return undefined;
  await memory.update(KEY, chosen.colour);
  return chosen.colour;
}

function whenToChoose(colour: Colour): string {
  switch (colour) {
    case 'rgb': return vscode.l10n.t('The images as they are.');
    case 'gray': return vscode.l10n.t('Luminance alone: to see what colour is worth, or for images to come that have none.');
  }
}
