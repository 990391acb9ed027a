// Where the extension's own programs are, and under which binary and environment they run.
import path from 'node:path';
import * as vscode from 'vscode';
import { settingVariables } from './settings.js';

export interface Installation {
  /** The extension's `dist` folder. */
  readonly dist: vscode.Uri;
  readonly trainerScript: string;
  readonly cliScript: string;
  readonly execPath: string;
  /** The desktop's host is Electron: it runs a script as Node only when told so. */
  readonly electron: boolean;
  /** This process's environment with the settings as THAW_* variables; read anew each time. */
  environment(): NodeJS.ProcessEnv;
}

export function findInstallation(extensionUri: vscode.Uri): Installation {
  const dist = vscode.Uri.joinPath(extensionUri, 'dist');
  return {
    dist,
    trainerScript: path.join(dist.fsPath, 'trainer.js'),
    cliScript: path.join(dist.fsPath, 'cli.js'),
    execPath: process.execPath,
    electron: process.versions['electron'] !== undefined,
    environment: () => ({ ...process.env, ...settingVariables(machineValue) }),
  };
}

/** The value of the user's or the machine's settings: VS Code ignores a workspace's for scope `machine`, and this doesn't even look at it. */
function machineValue(setting: string): unknown {
  return vscode.workspace.getConfiguration('thaw').inspect<unknown>(setting)?.globalValue;
}
