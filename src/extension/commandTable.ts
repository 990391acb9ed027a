// Every command that Thaw declares. The manifest, the handlers and the tests are all held to this table: `CommandHandlers` makes a command
// without a handler a compile error, test/unit/manifest.test.ts compares package.json, test/host compares what VS Code knows.

/** `palette`: offered in the command palette; the others belong to a view's buttons and menus. `title`: as package.nls.json has it. */
export const COMMANDS = {
  'thaw.trainOnFolder': { title: 'Train on Folder…', palette: true },
  'thaw.trainWithFreeze': { title: 'Train with Freeze', palette: true },
  'thaw.trainWithFinetune': { title: 'Train with Finetune', palette: true },
  'thaw.compareFreezeAndFinetune': { title: 'Compare Freeze and Finetune', palette: true },
  'thaw.whichStrategy': { title: 'Which Strategy?', palette: true },
  'thaw.compareRuns': { title: 'Compare Runs…', palette: true },
  'thaw.runStudy': { title: 'Run Study…', palette: true },
  'thaw.openStudy': { title: 'Open Study…', palette: true },
  'thaw.classifyImage': { title: 'Classify Image', palette: true },
  'thaw.exportModel': { title: 'Export Model…', palette: true },
  'thaw.showRecipe': { title: 'Show Recipe', palette: true },
  'thaw.openRun': { title: 'Open Run', palette: true },
  'thaw.stopTraining': { title: 'Stop Training', palette: true },
  'thaw.deleteRun': { title: 'Delete Run', palette: true },
  'thaw.showLog': { title: 'Show Log', palette: true },
  'thaw.setUpEngine': { title: 'Set Up Engine', palette: true },
  'thaw.setUpGpu': { title: 'Set Up GPU…', palette: true },
  'thaw.useTensorflow': { title: 'Use Existing TensorFlow…', palette: true },
  'thaw.checkSetUp': { title: 'Check Set-up', palette: true },
  'thaw.manageWeights': { title: 'Manage Weights…', palette: true },
  'thaw.clearCache': { title: 'Clear Cache', palette: true },
  'thaw.revealRun': { title: 'Reveal Run Folder', palette: false },
  'thaw.openSelectedRun': { title: 'Open Selected Run', palette: false },
  'thaw.openLiveRun': { title: 'Open Live Run', palette: false },
  'thaw.addDatasetFolder': { title: 'Add Dataset Folder', palette: false },
  'thaw.removeDatasetFolder': { title: 'Remove from Datasets', palette: false },
  'thaw.refreshDatasets': { title: 'Refresh', palette: false },
} as const satisfies Record<`thaw.${string}`, { title: string; palette: boolean }>;

export type CommandId = keyof typeof COMMANDS;

/** Arguments come from menus, trees, other extensions and key bindings: a handler checks what it is given. */
export type CommandHandler = (...args: readonly unknown[]) => unknown;

/** The handlers that one feature contributes. */
export type CommandHandlers<Id extends CommandId> = { readonly [Command in Id]: CommandHandler };

/** All of them; every command has exactly one. */
export type AllCommandHandlers = CommandHandlers<CommandId>;
