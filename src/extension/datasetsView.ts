// The Datasets view: the workspace's image folders with their counts, expandable to classes.
import path from 'node:path';
import * as vscode from 'vscode';
import { DatasetTarget, folderOf } from './commandTarget.js';
import type { CommandHandlers } from './commandTable.js';
import { classCounts, imagesText } from './datasetSearch.js';
import type { KnownDataset } from './datasetStore.js';
import { plainName } from './plainText.js';
import type { Services } from './services.js';

class DatasetNode extends DatasetTarget {
  constructor(readonly dataset: KnownDataset) {
    super(dataset.root);
  }
}

class ClassNode {
  constructor(readonly parent: DatasetNode, readonly name: string, readonly description: string) {}
}

type Node = DatasetNode | ClassNode;

class DatasetsTree implements vscode.TreeDataProvider<Node> {
  constructor(private readonly services: Services) {}

  get onDidChangeTreeData(): vscode.Event<void> {
    return this.services.datasets.onDidChange;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (node === undefined) return (await this.services.datasets.all()).map((dataset) => new DatasetNode(dataset));
    if (node instanceof ClassNode) return [];
    return node.dataset.classes.map((each) => new ClassNode(node, each.name, classCounts(each)));
  }

  getTreeItem(node: Node): vscode.TreeItem {
    if (node instanceof ClassNode) {
      const item = new vscode.TreeItem(plainName(node.name));
      item.id = `${node.parent.root}\n${node.name}`;
      item.description = node.description;
      item.iconPath = vscode.ThemeIcon.Folder;
      item.contextValue = 'class';
      return item;
    }
    const { root, added } = node.dataset;
    const item = new vscode.TreeItem(plainName(path.basename(root)), vscode.TreeItemCollapsibleState.Collapsed);
    item.id = root;
    item.description = imagesText(node.dataset, vscode.l10n);
    item.iconPath = new vscode.ThemeIcon('database');
    item.tooltip = root;
    item.contextValue = added ? 'dataset added' : 'dataset';
    return item;
  }
}

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.addDatasetFolder' | 'thaw.removeDatasetFolder' | 'thaw.refreshDatasets'> {
  const { datasets } = services;
  const view = vscode.window.createTreeView('thaw.datasets', { treeDataProvider: new DatasetsTree(services), showCollapseAll: true });
  context.subscriptions.push(view, datasets.onDidChange(() => {
    view.message = datasets.complete ? '' : vscode.l10n.t('Not every folder was searched. Add a folder that is missing.');
  }));
  return {
    'thaw.addDatasetFolder': async () => {
      const [first] = vscode.workspace.workspaceFolders ?? [];
      const folders = await vscode.window.showOpenDialog({
        canSelectFiles: false, canSelectFolders: true, openLabel: vscode.l10n.t('Add Dataset Folder'), ...(first && { defaultUri: first.uri }),
      });
      const folder = folders?.[0];
      if (folder) await datasets.add(folder.fsPath);
    },
    'thaw.removeDatasetFolder': async (argument) => {
      const folder = folderOf(argument);
      if (folder !== undefined) await datasets.remove(folder);
    },
    'thaw.refreshDatasets': () => vscode.window.withProgress({ location: { viewId: 'thaw.datasets' } }, () => datasets.refresh()),
  };
}
