// A VS Code server for one test file, with data of its own that is gone afterwards.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type HostInfo, hostInfo, installVsix, startVscodeServer } from '../../scripts/vscodeServer.mjs';

const QUIET_SETTINGS = {
  'chat.agentHost.enabled': false,
  'chat.commandCenter.enabled': false,
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'git.enabled': false,
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.dialogStyle': 'custom',
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
};

/** Variables of the surrounding process that would change what is tested. */
const DROPPED = /^(?:npm_|NODE_OPTIONS$|NODE_TEST|VSCODE_|ELECTRON_)/i;

export interface ServerOptions {
  /** VS Code version; default VSCODE_HOST, else 1.139. */
  readonly host?: string;
  /** Folder of an extension under development, which is linked, or a .vsix, which is installed. */
  readonly extension?: string;
  /** Folders of other extensions beside it. */
  readonly others?: readonly string[];
  /** User settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** For the server, and so for the extension host. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Only for a suite inside the extension host: lets the page load test code, refuses dialogs. */
  readonly testDriver?: boolean;
}

export interface Server {
  readonly host: HostInfo;
  readonly port: number;
  readonly url: string;
  /** Where the suite inside the extension host writes its results: $TEST_RESULTS. */
  readonly testResults: string;
  /** Settles when the server has ended. */
  readonly exited: Promise<void>;
  output(): string;
  /** The extension host's log: which extensions were activated, and why one failed. */
  extensionHostLog(): string;
  /** Ends the server with all its children but detached ones, and removes its data. */
  stop(): Promise<void>;
}

/** An interrupted test process runs its exit handlers, which end what it started. */
let interruptible = false;
function endOnSignals(): void {
  if (interruptible) return;
  interruptible = true;
  for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]] as const) process.once(signal, () => process.exit(128 + number));
}

/** Starts a server with fresh data on a free port; it is ready when this resolves. It also ends with this process. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  endOnSignals();
  const host = hostInfo(options.host ?? process.env['VSCODE_HOST'] ?? '1.139');
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'thaw-vscode-'));
  const dataFolder = path.join(temporary, 'data');
  const extensionsFolder = path.join(temporary, 'extensions');
  const testResults = path.join(temporary, 'test-results.jsonl');
  const remove = (): void => rmSync(temporary, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  try {
    mkdirSync(path.join(dataFolder, 'User'), { recursive: true });
    mkdirSync(extensionsFolder);
    writeFileSync(path.join(dataFolder, 'User', 'settings.json'), JSON.stringify({ ...QUIET_SETTINGS, ...options.settings }));
    const environment = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !DROPPED.test(name))),
      EXTENSIONS_GALLERY: '{}',
      XDG_RUNTIME_DIR: temporary, // for its sockets
      ...(options.testDriver === true && { TEST_RESULTS: testResults }),
      ...options.environment,
    };
    if (options.extension !== undefined) await install(host, path.resolve(options.extension), { dataFolder, extensionsFolder, environment });
    for (const other of options.others ?? []) await install(host, path.resolve(other), { dataFolder, extensionsFolder, environment });
    // Else it asks a login shell for the environment, whose PATH wins.
    const server = await startVscodeServer({ host, dataFolder, extensionsFolder, environment, testDriver: options.testDriver === true, more: ['--force-disable-user-env'] });
    const killNow = (): void => {
      server.kill('SIGKILL');
      remove();
    };
    process.once('exit', killNow);
    return {
      host,
      port: server.port,
      url: `http://127.0.0.1:${server.port}`,
      testResults,
      exited: server.exited,
      output: () => server.output(),
      extensionHostLog: () => readLogs(dataFolder, 'remoteexthost.log'),
      async stop() {
        await server.stop();
        process.off('exit', killNow);
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

async function install(
  host: HostInfo, source: string, folders: { dataFolder: string; extensionsFolder: string; environment: NodeJS.ProcessEnv },
): Promise<void> {
  if (source.endsWith('.vsix')) {
    await installVsix(host, { ...folders, vsix: source });
  } else { // linked, so that the next start or reload runs the newest build
    const manifest = JSON.parse(readFileSync(path.join(source, 'package.json'), 'utf8')) as { publisher: string; name: string; version: string };
    symlinkSync(source, path.join(folders.extensionsFolder, `${manifest.publisher}.${manifest.name}-${manifest.version}`));
  }
}

function readLogs(folder: string, name: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => path.basename(file) === name)
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
    .join('');
}
