export function desktopMayOpen(machine: { platform: NodeJS.Platform; uid: number | undefined; environment: NodeJS.ProcessEnv }): boolean;
export function openDesktop(options: {
  workspace: string; extension: string; dataFolder: string; extensionsFolder: string; interrupted: Promise<unknown>; environment?: NodeJS.ProcessEnv;
}): Promise<boolean>;
