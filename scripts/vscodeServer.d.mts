// Types of vscodeServer.mjs, for the tests' harness.
export const VERSIONS: readonly string[];

export interface HostInfo {
  readonly version: string;
  readonly folder: string;
  readonly nodeHome: string | undefined;
  readonly node: string;
  readonly vscode: string;
  readonly serverMain: string;
}

export function hostInfo(version: string): HostInfo;

export function installVsix(host: HostInfo, options: {
  dataFolder: string;
  extensionsFolder: string;
  vsix: string;
  environment: NodeJS.ProcessEnv;
}): Promise<void>;

export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  /** Settles when the server has ended. */
  readonly exited: Promise<void>;
  output(): string;
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

export function startVscodeServer(options: {
  host: HostInfo;
  dataFolder: string;
  extensionsFolder: string;
  port?: number;
  token?: string;
  environment: NodeJS.ProcessEnv;
  testDriver?: boolean;
  more?: readonly string[];
}): Promise<RunningServer>;
