// A job of `thaw` that fetches something, as a notification with its progress and a way to cancel it.
import * as v from 'valibot';
import * as vscode from 'vscode';
import { formatBytes, formatClock } from '../metrics/format.js';
import { translateRecorded } from '../protocol/recordedText.js';
import { runCli, type CliInstallation } from './cliProcess.js';
import { plainText } from './plainText.js';

const progressLine = v.object({
  type: v.literal('progress'), message: v.string(), doneBytes: v.optional(v.number()), totalBytes: v.optional(v.number()),
  bytesPerSecond: v.optional(v.number()), secondsLeft: v.optional(v.number()),
});

/** What a job that the person cancelled comes to. */
export const CANCELLED = Symbol('cancelled');

/** Runs the job to its end and returns its last line, or `CANCELLED`. @throws what `runCli` throws */
export async function runCliWithProgress(installation: CliInstallation, log: vscode.LogOutputChannel, title: string, args: readonly string[]): Promise<unknown> {
  const aborted = new AbortController();
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, async (progress, token) => {
    token.onCancellationRequested(() => aborted.abort());
    let message = '';
    let reported = 0;
    try {
      return await runCli(installation, {
        arguments: args,
        signal: aborted.signal,
        onDiagnostic: (line) => log.info(line),
        onLine: (line) => {
          const parsed = v.safeParse(progressLine, line);
          if (!parsed.success) return;
          const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = parsed.output;
          if (parsed.output.message !== message) {
            ({ message } = parsed.output);
            log.info(message);
          }
          const share = doneBytes !== undefined && totalBytes !== undefined && totalBytes > 0 ? Math.min(100, 100 * doneBytes / totalBytes) : undefined;
          if (share !== undefined && share < reported) reported = 0; // another part of the job begins
          const words = plainText(translateRecorded(message, vscode.l10n));
          const shown = share === undefined ? words : vscode.l10n.t('{0}, {1} of {2}', words, formatBytes(doneBytes), formatBytes(totalBytes));
          const pace = bytesPerSecond === undefined || secondsLeft === undefined ? '' : `, ${vscode.l10n.t('{0}/s, about {1} left', formatBytes(bytesPerSecond), formatClock(secondsLeft))}`;
          progress.report({ message: shown + pace, ...(share !== undefined && share > reported && { increment: share - reported }) });
          reported = Math.max(reported, share ?? 0);
        },
      });
    } catch (error) {
      if (aborted.signal.aborted) return CANCELLED;
      throw error;
    }
  });
}
