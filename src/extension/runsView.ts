// The Runs view: runs grouped by dataset, newest first, live progress, a badge with the number of runs under way.
import { setTimeout as delay } from 'node:timers/promises';
import * as vscode from 'vscode';
import { translateRecorded } from '../protocol/recordedText.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import type { CommandHandlers } from './commandTable.js';
import { RunTarget } from './commandTarget.js';
import { inBackground } from './errorReport.js';
import { groupRuns, runRow, runTitle, isReadable, type Run, type RunGroup } from './runLabels.js';
import { plainText } from './plainText.js';
import type { Services } from './services.js';

const TOLD_OF_CPU = 'thaw.toldOfCpu';
/** A row whose words alone change is redrawn at most so often, milliseconds. */
const REDRAW_MS = 2000;

/** A dataset with its runs. */
class GroupNode {
  runs: readonly RunNode[] = [];

  constructor(public group: RunGroup) {}
}

/** A run; menus and commands know it as a `RunTarget`. */
class RunNode extends RunTarget {
  constructor(public run: Run, readonly parent: GroupNode) {
    super(run.directory);
  }
}

type Node = GroupNode | RunNode;

export class RunsTree implements vscode.TreeDataProvider<Node> {
  #groups: readonly GroupNode[] = [];
  /** What each row showed last, and since when, so that only rows that changed are redrawn. */
  readonly #drawn = new Map<string, { readonly row: string; readonly contextValue: string; readonly at: number }>();
  #later: NodeJS.Timeout | undefined;
  readonly #changed = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(private readonly services: Services) {
    this.#build();
  }

  getChildren(node?: Node): Node[] {
    if (node === undefined) return [...this.#groups];
    return node instanceof GroupNode ? [...node.runs] : [];
  }

  getParent(node: Node): Node | undefined {
    return node instanceof RunNode ? node.parent : undefined;
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node instanceof GroupNode ? groupItem(node) : runItem(node, this.services);
  }

  /** The row of a run, to reveal it. */
  find(directory: string): RunNode | undefined {
    return this.#groups.flatMap(({ runs }) => runs).find((node) => node.directory === directory);
  }

  /** Takes the runs as they are now: the whole tree when rows came, went or moved, else only the rows that read differently. */
  update(): void {
    const shape = this.#shape();
    const nodes = new Map(this.#groups.flatMap(({ runs }) => runs).map((node) => [node.directory, node]));
    this.#build();
    if (this.#shape() !== shape) {
      this.#drawn.clear();
      this.#changed.fire(undefined);
      return;
    }
    // Same rows: keep the nodes that VS Code holds, with new contents.
    for (const group of this.#groups) {
      group.runs = group.runs.map((fresh) => {
        const node = nodes.get(fresh.directory) ?? fresh;
        node.run = fresh.run;
        this.#draw(node);
        return node;
      });
    }
  }

  dispose(): void {
    clearTimeout(this.#later);
    this.#changed.dispose();
  }

  /** VS Code makes a row's buttons anew with it, and a press on one that goes before it is let go is lost: progress alone can wait. */
  #draw(node: RunNode): void {
    const shown = runRow(node.run, this.services.l10n);
    const row = JSON.stringify(shown);
    const drawn = this.#drawn.get(node.directory);
    if (drawn?.row === row) return;
    const wait = drawn?.contextValue === shown.contextValue ? drawn.at + REDRAW_MS - performance.now() : 0;
    if (wait > 0) {
      this.#later ??= setTimeout(() => {
        this.#later = undefined;
        this.update();
      }, wait);
      return;
    }
    this.#drawn.set(node.directory, { row, contextValue: shown.contextValue, at: performance.now() });
    this.#changed.fire(node);
  }

  #build(): void {
    const before = new Map(this.#groups.map((node) => [node.group.key, node]));
    this.#groups = groupRuns(this.services.runs.all(), (directory) => this.services.runs.workspaceFolderOf(directory) ?? '').map((group) => {
      const node = before.get(group.key) ?? new GroupNode(group);
      node.group = group;
      node.runs = group.runs.map((run) => new RunNode(run, node));
      return node;
    });
  }

  #shape(): string {
    return JSON.stringify(this.#groups.map(({ group, runs }) => [group.key, group.name, runs.map(({ directory }) => directory)]));
  }
}

function groupItem({ group }: GroupNode): vscode.TreeItem {
  const item = new vscode.TreeItem(group.name ?? vscode.l10n.t('Unreadable'), vscode.TreeItemCollapsibleState.Expanded);
  item.id = `group ${group.key}`;
  item.description = group.runs.length === 1 ? vscode.l10n.t('1 run') : vscode.l10n.t('{0} runs', group.runs.length);
  item.iconPath = new vscode.ThemeIcon(group.name === undefined ? 'question' : 'database');
  item.contextValue = 'group';
  return item;
}

function runItem({ run }: RunNode, services: Services): vscode.TreeItem {
  const row = runRow(run, services.l10n);
  const item = new vscode.TreeItem(row.label);
  item.id = run.directory;
  item.description = row.description;
  item.iconPath = new vscode.ThemeIcon(row.icon, row.colour === undefined ? undefined : new vscode.ThemeColor(row.colour));
  item.tooltip = row.tooltip;
  item.accessibilityInformation = { label: row.accessibleLabel };
  item.contextValue = row.contextValue;
  // Without arguments: VS Code drops those of a row that it redraws while the click is still on its way, and a live row is redrawn all the time.
  if (isReadable(run)) item.command = { command: 'thaw.openSelectedRun', title: vscode.l10n.t('Open Run') };
  return item;
}

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.openSelectedRun'> {
  const tree = new RunsTree(services);
  // That no GPU is used, and why: once on this machine, while the first such run lasts.
  const tellOfTheCpu = (live: readonly RunSnapshot[]): void => {
    if (context.globalState.get<boolean>(TOLD_OF_CPU) === true) return;
    const device = live.map(({ record }) => record.environment?.device).find((each) => each?.kind === 'cpu' && each.reason !== undefined);
    if (device) {
      view.message = vscode.l10n.t('Training runs on {0}: {1}', plainText(translateRecorded(device.name, services.l10n)), plainText(translateRecorded(device.reason ?? '', services.l10n)));
    } else if (view.message !== undefined && view.message !== '') {
      view.message = '';
      void context.globalState.update(TOLD_OF_CPU, true);
    }
  };
  const view = vscode.window.createTreeView('thaw.runs', { treeDataProvider: tree, canSelectMany: true, showCollapseAll: true });
  const update = (): void => {
    tree.update();
    const live = services.runs.live();
    tellOfTheCpu(live);
    view.badge = live.length === 0 ? undefined : {
      value: live.length,
      tooltip: live.map((run) => runTitle(run, services.l10n)).join(', '),
    };
    void vscode.commands.executeCommand('setContext', 'thaw.training', live.length > 0);
    void vscode.commands.executeCommand('setContext', 'thaw.hasRuns', services.runs.all().length > 0);
  };
  // The row of the run that the panel shows is the selected one, where the view is seen anyway.
  const select = async (directory: string): Promise<void> => {
    const node = tree.find(directory);
    if (node && view.visible && view.selection[0] !== node) await view.reveal(node, { select: true, focus: false });
  };
  context.subscriptions.push(tree, view, services.runs.onDidChange(update), services.panels.onDidShowRun((directory) => inBackground(services.log, select(directory))));
  update();
  return {
    'thaw.openSelectedRun': async () => {
      // While rows come or go, VS Code has for a moment none of what is selected.
      for (let waits = 0; view.selection.length === 0 && waits < 20; waits += 1) await delay(50);
      const [node] = view.selection;
      if (node instanceof RunNode) services.panels.openRun(node.directory);
    },
  };
}
