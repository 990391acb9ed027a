// A Chromium for the tests, cut off from every address but 127.0.0.1.
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Starts the browser that CHROMIUM names (scripts/test.mjs sets it), else Debian's, else Playwright's own. */
export function launchBrowser(): Promise<Browser> {
  const executable = process.env['CHROMIUM'] ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((file) => existsSync(file));
  return chromium.launch({
    ...(executable !== undefined && { executablePath: executable }),
    // server.ts ends an interrupted process, and Playwright then ends the browser.
    handleSIGHUP: false,
    handleSIGINT: false,
    handleSIGTERM: false,
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  });
}
