// Drives the VS Code workbench as a person would: one method for each thing that a person does. It waits for what a person would see.
import path from 'node:path';
import type { Browser, FrameLocator, Locator, Page } from 'playwright-core';
import { launchBrowser } from './browser.js';
import type { Server } from './server.js';

const START_TIMEOUT = 90_000;

export interface OpenOptions {
  readonly viewport?: { readonly width: number; readonly height: number };
}

/** Opens a folder in a fresh browser; resolves once the explorer shows its rows. */
export async function openWorkbench(server: Server, folder: string, options: OpenOptions = {}): Promise<Workbench> {
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage({ viewport: options.viewport ?? { width: 1280, height: 860 } });
    const workbench = new Workbench(browser, page);
    await page.goto(`${server.url}/?folder=${encodeURIComponent(path.resolve(folder))}`, { waitUntil: 'commit', timeout: START_TIMEOUT });
    await workbench.ready();
    return workbench;
  } catch (error) {
    await browser.close();
    throw error;
  }
}

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Pixels that aren't transparent. */
  readonly painted: number;
  /** Opaque pixels that come near the colour. */
  readonly matching: number;
  /** A hash of all pixels. */
  readonly hash: number;
}

export class Workbench {
  /** Console messages of the workbench and of every webview. */
  readonly console: { type: string; text: string }[] = [];
  /** Addresses other than the server's that anything in the page asked for. */
  readonly foreignRequests: string[] = [];

  constructor(private readonly browser: Browser, readonly page: Page) {
    page.on('console', (message) => this.console.push({ type: message.type(), text: message.text() }));
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (/^https?:$/.test(protocol) && hostname !== '127.0.0.1' && !hostname.endsWith('.vscode-cdn.net')) this.foreignRequests.push(request.url());
    });
  }

  async ready(): Promise<void> {
    await this.page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: START_TIMEOUT });
  }

  /** Reloads the window by VS Code's own command: a plain reload loses what VS Code has not yet saved (5 s). */
  async reload(): Promise<void> {
    const navigated = this.page.waitForEvent('framenavigated', { predicate: (frame) => frame === this.page.mainFrame(), timeout: START_TIMEOUT });
    await this.runCommand('Developer: Reload Window');
    await navigated;
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: START_TIMEOUT });
  }

  /** Content-Security-Policy violations of Thaw's webview so far. */
  cspViolations(): string[] {
    return this.console.map(({ text }) => text).filter((text) => /content security policy/i.test(text));
  }

  async screenshot(file: string): Promise<void> {
    await this.page.screenshot({ path: file });
  }

  /** What stands in the quick input, the menus, notifications and dialogs now. */
  async spoken(): Promise<string[]> {
    const texts = await this.page.locator('.quick-input-widget, .monaco-menu, .notification-toast, .monaco-dialog-box, .pane .monaco-list-row').filter({ visible: true }).allInnerTexts();
    return texts.map((text) => text.replaceAll(/\s+/g, ' ').trim()).filter((text) => text !== '');
  }

  async close(): Promise<void> {
    await this.browser.close();
  }

  // -- Quick input: command palette, QuickPick, input box

  get quickInput(): Locator {
    return this.page.locator('.quick-input-widget input.input');
  }

  /** Runs a command by its full title, such as `Category: Title`. */
  async runCommand(title: string): Promise<void> {
    const deadline = Date.now() + 45_000;
    for (;;) { // the palette lists the commands that are known when it opens: open it again until ours are in
      await this.openPalette(title);
      try {
        await this.pick(title, { timeout: 3000 });
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await this.page.keyboard.press('Escape');
      }
    }
  }

  /** The commands that the palette offers for a text, their category included. */
  async offeredCommands(text: string): Promise<string[]> {
    await this.openPalette(text);
    await this.page.locator('.quick-input-list .monaco-list-row').first().waitFor({ timeout: 15_000 });
    const labels = await this.page.locator('.quick-input-list .monaco-list-row .quick-input-list-label .label-name').allInnerTexts();
    await this.page.keyboard.press('Escape');
    return labels.map((label) => label.trim());
  }

  private async openPalette(text: string): Promise<void> {
    await this.page.keyboard.press('F1');
    await this.quickInput.waitFor({ timeout: 15_000 });
    await this.quickInput.fill(`>${text}`);
  }

  /** Chooses a row of the open palette or QuickPick. */
  async pick(label: string, { timeout = 20_000 } = {}): Promise<void> {
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: label }).first().click({ timeout });
  }

  /** The rows of the open QuickPick. */
  async pickRows(expected: string): Promise<string[]> {
    const rows = this.page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: expected }).first().waitFor({ timeout: 60_000 });
    return await rows.allInnerTexts();
  }

  /** Answers the open input box, recognised by its prompt. */
  async answer(prompt: string, value: string): Promise<void> {
    await this.page.locator('.quick-input-message', { hasText: prompt }).waitFor({ timeout: 15_000 });
    await this.quickInput.fill(value);
    await this.page.keyboard.press('Enter');
  }

  /** Answers the workbench's own dialog for a folder by its path; `button` is what the dialog's says, `holds` the name of a folder in it. */
  async chooseFolder(folder: string, button: string, holds: string): Promise<void> {
    const accept = this.page.locator('.quick-input-widget .quick-input-action .monaco-button', { hasText: button });
    await accept.waitFor({ timeout: 20_000 });
    const deadline = Date.now() + 60_000;
    for (;;) { // the dialog goes back to where it began when it was still on its way there
      try {
        await this.quickInput.fill(`${folder}/`);
        await this.page.locator('.quick-input-list .monaco-list-row', { hasText: holds }).first().waitFor({ timeout: 5000 });
        await accept.click({ timeout: 5000 });
        await accept.waitFor({ state: 'hidden', timeout: 5000 });
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  // -- Explorer, views and menus

  explorerRow(name: string): Locator {
    return this.page.locator('.explorer-folders-view .monaco-list-row', { hasText: name }).first();
  }

  /** Shows a view container by its activity bar title. */
  async openViewContainer(title: string): Promise<void> {
    const tab = this.page.locator('.activitybar .action-item', { has: this.page.locator(`a[aria-label^="${title}"]`) });
    await tab.waitFor({ timeout: 30_000 });
    const shown = this.page.locator('.activitybar .action-item.checked', { has: this.page.locator(`a[aria-label^="${title}"]`) });
    const deadline = Date.now() + 30_000;
    while (await shown.count() === 0) { // a click on the one shown would close it
      await tab.click(); // not its link: a badge may lie over it
      try {
        await shown.waitFor({ timeout: 3000 });
      } catch (error) { // a window that was being restored showed it just before the click
        if (Date.now() > deadline) throw error;
      }
    }
  }

  view(title: string): Locator {
    return this.page.locator('.pane', { has: this.page.locator('.pane-header', { hasText: title }) });
  }

  treeRows(viewTitle: string): Locator {
    return this.view(viewTitle).locator('.monaco-list-row');
  }

  treeRow(viewTitle: string, label: string | RegExp): Locator {
    return this.treeRows(viewTitle).filter({ hasText: label }).first();
  }

  /** Chooses from a row's context menu; more labels lead through submenus. */
  async chooseContextMenu(row: Locator, ...labels: string[]): Promise<void> {
    const deadline = Date.now() + 60_000;
    for (;;) { // as with the palette: what an extension adds comes some time after the start
      await this.openContextMenu(row);
      try {
        for (const [depth, label] of labels.entries()) {
          const item = this.page.locator('.monaco-menu').nth(depth).locator('.action-item', { hasText: label }).first(); // a submenu's element lies inside its parent's
          await item.waitFor({ timeout: 5000 });
          await this.page.waitForTimeout(300); // menus ignore the mouse for their first moments
          await item.click({ timeout: 5000 });
        }
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await this.page.keyboard.press('Escape');
        await this.page.keyboard.press('Escape');
      }
    }
  }

  /** The labels of a row's context menu. */
  async contextMenuLabels(row: Locator): Promise<string[]> {
    await this.openContextMenu(row);
    const labels = await this.page.locator('.monaco-menu .action-label:not(.separator)').allInnerTexts();
    await this.page.keyboard.press('Escape');
    return labels;
  }

  private async openContextMenu(row: Locator): Promise<void> {
    await row.click({ button: 'right' });
    await this.page.locator('.monaco-menu .action-item').first().waitFor({ timeout: 10_000 });
  }

  /** A status bar item by a text in it. */
  statusBarItem(text: string | RegExp): Locator {
    return this.page.locator('.statusbar-item', { hasText: text }).first();
  }

  // -- Notifications and dialogs

  toast(text: string | RegExp): Locator {
    return this.page.locator('.notifications-toasts .notification-toast', { hasText: text }).first();
  }

  /** Waits for a notification and dismisses it (VS Code shows at most three at a time); returns its text. */
  async notification(text: string | RegExp, { timeout = 20_000 } = {}): Promise<string> {
    const toast = this.toast(text);
    await toast.waitFor({ timeout });
    const message = (await toast.innerText()).trim();
    await toast.hover();
    await toast.locator('.codicon-notifications-clear').click();
    await toast.waitFor({ state: 'hidden', timeout: 10_000 });
    return message;
  }

  /** Dismisses whatever notifications show. */
  async dismissNotifications(): Promise<void> {
    await this.runCommand('Notifications: Clear All Notifications');
    await this.page.locator('.notifications-toasts .notification-toast').first().waitFor({ state: 'hidden', timeout: 10_000 });
  }

  /** Presses a button of a notification. */
  async answerNotification(text: string | RegExp, button: string, { timeout = 20_000 } = {}): Promise<string> {
    const toast = this.toast(text);
    await toast.waitFor({ timeout });
    const message = (await toast.innerText()).trim();
    await toast.locator('.monaco-button', { hasText: button }).click();
    return message;
  }

  dialog(text: string | RegExp): Locator {
    return this.page.locator('.monaco-dialog-box', { hasText: text });
  }

  /** Presses a button of a modal dialog; returns the dialog's text. */
  async answerDialog(text: string | RegExp, button: string, { timeout = 20_000 } = {}): Promise<string> {
    const dialog = this.dialog(text);
    await dialog.waitFor({ timeout });
    const message = (await dialog.innerText()).trim();
    await dialog.locator('.monaco-button', { hasText: button }).click();
    return message;
  }

  // -- Webviews

  /** The document of an extension's visible webview: two iframes deep. */
  webview(extensionId: string): FrameLocator {
    return this.page
      .frameLocator(`iframe.webview.ready[src*="extensionId=${extensionId}"] >> visible=true`)
      .frameLocator('iframe#active-frame');
  }

  /** Size of a canvas, a hash of its pixels, and how many of them come near a colour `[red, green, blue]`. */
  canvasPixels(canvas: Locator, rgb: readonly [number, number, number], tolerance = 60): Promise<Pixels> {
    return canvas.evaluate((element, wanted) => {
      const source = element as HTMLCanvasElement;
      const context = source.getContext('2d');
      if (context === null) throw new Error('not a 2D canvas');
      const { data } = context.getImageData(0, 0, source.width, source.height);
      let painted = 0;
      let matching = 0;
      let hash = 2166136261;
      for (let i = 0; i < data.length; i += 4) {
        const pixel = [data[i] ?? 0, data[i + 1] ?? 0, data[i + 2] ?? 0] as const;
        const alpha = data[i + 3] ?? 0;
        for (const value of [...pixel, alpha]) hash = Math.imul(hash ^ value, 16777619);
        if (alpha === 0) continue;
        painted += 1;
        if (alpha > 200 && wanted.rgb.every((channel, c) => Math.abs((pixel[c] ?? 0) - channel) <= wanted.tolerance)) matching += 1;
      }
      return { width: source.width, height: source.height, painted, matching, hash };
    }, { rgb: [...rgb], tolerance });
  }
}
