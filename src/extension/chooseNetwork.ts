// Which network a run starts from, and with which weights: chosen in Train on Folder, remembered for this workspace.
import * as v from 'valibot';
import * as vscode from 'vscode';
import { BACKBONES, DEFAULT_BACKBONE, OWN_WEIGHTS, type RunRecord } from '../protocol/run.js';
import { fetchWeights, listWeights } from './manageWeights.js';
import type { Services } from './services.js';
import { weightsRow, type ListedWeights } from './weightsRows.js';

/** A network of the catalogue, and the person's own weights of it, if it isn't to start from the published ones. */
export type Network = Pick<RunRecord['configuration'], 'backbone' | 'weights'>;

export const DEFAULT_NETWORK: Network = { backbone: DEFAULT_BACKBONE };

const KEY = 'network';
const remembered = v.strictObject({ backbone: v.picklist(BACKBONES), weights: v.optional(v.pipe(v.string(), v.regex(OWN_WEIGHTS))) });

/** The network last chosen in this workspace, else the default. Its weights may have gone since: training says so. */
export function rememberedNetwork(memory: vscode.Memento): Network {
  const parsed = v.safeParse(remembered, memory.get(KEY));
  return parsed.success ? parsed.output : DEFAULT_NETWORK;
}

/** `efficientnet_lite0`, or the name of own weights. */
export function networkName({ backbone, weights }: Network): string {
  return weights ?? backbone;
}

/** Arguments of `thaw` that mean this network. */
export function networkArguments({ backbone, weights }: Network): string[] {
  return weights === undefined ? ['--backbone', backbone] : ['--weights', weights];
}

/** Offers every network; fetches the weights of the one chosen if they are not here. Undefined when the person changes their mind. */
export async function chooseNetwork(services: Services, memory: vscode.Memento): Promise<Network | undefined> {
  const rows = (await listWeights(services)).filter(({ own, present }) => !own || present)
    .map((weights): vscode.QuickPickItem & { weights: ListedWeights } => ({ ...weightsRow(weights, vscode.l10n), weights }));
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Network'), placeHolder: vscode.l10n.t('The pretrained network to start from'), matchOnDescription: true, matchOnDetail: true,
  });
  if (chosen === undefined) return undefined;
  const { weights } = chosen;
  if (!weights.present && !await fetchWeights(services, weights)) return undefined;
  const network = { backbone: weights.backbone, ...(weights.own && { weights: weights.name }) };
  await memory.update(KEY, network);
  return network;
}
