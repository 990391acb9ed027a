// Which Strategy?: measures a folder before anything is trained on it, and shows in the panel which strategy to choose and why.
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { formatCount } from '../metrics/format.js';
import { adviceSchema, type Advice } from '../protocol/advice.js';
import { translateRecorded } from '../protocol/recordedText.js';
import { rememberedColour } from './chooseColour.js';
import { networkArguments, rememberedNetwork } from './chooseNetwork.js';
import { runCli } from './cliProcess.js';
import { folderOf } from './commandTarget.js';
import type { CommandHandlers } from './commandTable.js';
import { pickDataset } from './pickDataset.js';
import { plainName, plainText } from './plainText.js';
import { workspaceFolderHolding } from './runStore.js';
import type { Services } from './services.js';
import { outsideWorkspace } from './startRun.js';
import { requireTrust } from './trust.js';

const progressLine = v.object({ type: v.literal('progress'), message: v.string(), done: v.optional(v.number()), total: v.optional(v.number()) });

const again = v.object({ pilot: v.optional(v.boolean()), network: v.optional(adviceSchema.entries.network) });

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.whichStrategy'> {
  return {
    // The panel asks for a pilot, or to measure again, with the network of the advice that it shows.
    'thaw.whichStrategy': async (argument, options) => {
      if (!await requireTrust()) return undefined;
      const folder = folderOf(argument) ?? await pickDataset(services, vscode.l10n.t('Which Strategy?'));
      if (folder === undefined || !await services.engine.ensureReady()) return undefined;
      if (workspaceFolderHolding(folder) === undefined) throw outsideWorkspace(folder);
      const asked = v.safeParse(again, options);
      const { pilot = false, network = { ...rememberedNetwork(context.workspaceState), colour: rememberedColour(context.workspaceState) } } = asked.success ? asked.output : {};
      const advice = await measure(services, folder, [...networkArguments(network), '--colour', network.colour, ...(pilot ? ['--pilot'] : [])]);
      if (advice === undefined) return undefined;
      await services.advice.keep(advice);
      services.panels.openAdvice(advice);
      return advice;
    },
  };
}

/** Undefined when the person cancels. */
async function measure(services: Services, folder: string, options: readonly string[]): Promise<Advice | undefined> {
  const title = vscode.l10n.t('Measuring {0}', plainName(path.basename(folder)));
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, async (progress, token) => {
    const aborted = new AbortController();
    token.onCancellationRequested(() => aborted.abort());
    try {
      const line = await runCli(services.installation, {
        arguments: ['advise', folder, ...options, '--json'],
        signal: aborted.signal,
        onDiagnostic: (text) => services.log.info(text),
        onLine: (said) => {
          const parsed = v.safeParse(progressLine, said);
          if (!parsed.success) return;
          const { message, done, total } = parsed.output;
          const words = plainText(translateRecorded(message, vscode.l10n));
          progress.report({ message: done === undefined || total === undefined ? words : vscode.l10n.t('{0}, {1} of {2}', words, formatCount(done), formatCount(total)) });
        },
      });
      return v.parse(adviceSchema, line);
    } catch (error) {
      if (aborted.signal.aborted) return undefined;
      throw error;
    }
  });
}
