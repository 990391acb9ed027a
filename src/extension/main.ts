// The extension: makes what the features share, registers each feature, then each command. A failure here is shown, not only logged.
import * as vscode from 'vscode';
import { AdviceStore } from './adviceStore.js';
import * as classify from './classify.js';
import { COMMANDS, type AllCommandHandlers, type CommandHandler } from './commandTable.js';
import { DatasetStore } from './datasetStore.js';
import * as datasetsView from './datasetsView.js';
import * as endNotification from './endNotification.js';
import * as engineSetUp from './engineSetUp.js';
import { reportError } from './errorReport.js';
import * as exportModel from './exportModel.js';
import { findInstallation } from './installation.js';
import * as gpuSetUp from './gpuSetUp.js';
import * as manageWeights from './manageWeights.js';
import * as runCommands from './runCommands.js';
import { RunEndings } from './runEndings.js';
import * as runPanel from './runPanel.js';
import { RunStore } from './runStore.js';
import * as runsView from './runsView.js';
import type { Services } from './services.js';
import * as study from './study.js';
import { StudyStore } from './studyStore.js';
import * as statusBar from './statusBar.js';
import * as trainCommands from './trainCommands.js';
import * as whichStrategy from './whichStrategy.js';

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('Thaw', { log: true });
  context.subscriptions.push(log);
  try {
    const started = performance.now();
    const services = makeServices(context, log);
    runPanel.register(context, services);
    endNotification.register(context, services);
    const handlers: AllCommandHandlers = {
      ...trainCommands.register(context, services),
      ...whichStrategy.register(context, services),
      ...runCommands.register(context, services),
      ...study.register(context, services),
      ...classify.register(context, services),
      ...exportModel.register(context, services),
      ...engineSetUp.register(context, services),
      ...gpuSetUp.register(context, services),
      ...manageWeights.register(context, services),
      ...datasetsView.register(context, services),
      ...runsView.register(context, services),
      ...statusBar.register(context, services),
    };
    for (const id of Object.keys(COMMANDS) as (keyof AllCommandHandlers)[]) {
      context.subscriptions.push(vscode.commands.registerCommand(id, reporting(log, handlers[id])));
    }
    log.info(`Active after ${Math.round(performance.now() - started)} ms`);
  } catch (error) {
    void vscode.window.showErrorMessage(vscode.l10n.t('Thaw could not start: {0}', error instanceof Error ? error.message : String(error)));
    throw error;
  }
}

function makeServices(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Services {
  const installation = findInstallation(context.extensionUri);
  const runs = new RunStore(log);
  const datasets = new DatasetStore(context.workspaceState, log);
  const studies = new StudyStore(runs, installation, log);
  context.subscriptions.push(runs, datasets, studies);
  return {
    log,
    l10n: vscode.l10n,
    installation,
    runs,
    studies,
    datasets,
    advice: new AdviceStore(context.workspaceState),
    engine: new engineSetUp.EngineSetUp(installation, log),
    panels: new runPanel.RunPanels(),
    endings: new RunEndings(),
  };
}

/** A command whose failure is shown to the person; what it returns is for other extensions and for tests. */
function reporting(log: vscode.LogOutputChannel, handler: CommandHandler): (...args: unknown[]) => Promise<unknown> {
  return async (...args) => {
    try {
      return await handler(...args);
    } catch (error) {
      reportError(log, error);
      return undefined;
    }
  };
}
