// Where the extension's own programs are, and under which binary and environment they run.
import path from 'node:path';
import * as vscode from 'vscode';
import { programFor, thisHost, type Program } from '../engine/program.js';
import { settingVariables } from './settings.js';

export interface Installation {
  /** The extension's `dist` folder. */
  readonly dist: vscode.Uri;
  readonly trainerScript: string;
  readonly cliScript: string;
  /** What runs the scripts: this host's own binary, or a Node in its place where a set-up found that it can't load TensorFlow. */
  readonly execPath: string;
  /** The desktop's host is Electron: it runs a script as Node only when told so. */
  readonly electron: boolean;
  /** Whether a set-up has seen `execPath` load TensorFlow; of a Node that isn't asked. */
  readonly checked: boolean;
  /** What runs a set-up, which finds out what runs everything else: this host's own binary. */
  readonly own: { readonly execPath: string; readonly electron: boolean };
  /** This process's environment with the settings as THAW_* variables; read anew each time. */
  environment(): NodeJS.ProcessEnv;
}

export function findInstallation(extensionUri: vscode.Uri): Installation {
  const dist = vscode.Uri.joinPath(extensionUri, 'dist');
  const environment = (): NodeJS.ProcessEnv => ({ ...process.env, ...settingVariables(machineValue) });
  const host = thisHost();
  const trainerScript = path.join(dist.fsPath, 'trainer.js');
  const program = (): Program => programFor(host, trainerScript, environment());
  return {
    dist,
    trainerScript,
    cliScript: path.join(dist.fsPath, 'cli.js'),
    get execPath() { return program().execPath; },
    get electron() { return program().electron; },
    get checked() { return program().checked; },
    own: { execPath: host.execPath, electron: host.electron !== undefined },
    environment,
  };
}

/** The value of the user's or the machine's settings: VS Code ignores a workspace's for scope `machine`, and this doesn't even look at it. */
function machineValue(setting: string): unknown {
  return vscode.workspace.getConfiguration('thaw').inspect<unknown>(setting)?.globalValue;
}
