// What the features share. Each is made once, at activation; none does any work before it is asked.
import type * as vscode from 'vscode';
import type { Localiser } from '../protocol/localiser.js';
import type { AdviceStore } from './adviceStore.js';
import type { DatasetStore } from './datasetStore.js';
import type { EngineSetUp } from './engineSetUp.js';
import type { Installation } from './installation.js';
import type { RunEndings } from './runEndings.js';
import type { RunPanels } from './runPanel.js';
import type { RunStore } from './runStore.js';
import type { StudyStore } from './studyStore.js';

export interface Services {
  readonly log: vscode.LogOutputChannel;
  readonly l10n: Localiser;
  readonly installation: Installation;
  readonly runs: RunStore;
  readonly studies: StudyStore;
  readonly datasets: DatasetStore;
  readonly advice: AdviceStore;
  readonly engine: EngineSetUp;
  readonly panels: RunPanels;
  readonly endings: RunEndings;
}
