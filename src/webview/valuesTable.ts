// The data behind a chart as a table: the accessible form of the curves, and what the tests compare with events.ndjson.
import { MISSING } from '../metrics/format.js';
import { h, setText } from './dom.js';
import { t } from './words.js';

export interface Column {
  /** `validation.accuracy`, or a run's id: the cell's `data-column`. */
  readonly id: string;
  readonly label: string;
  /** Values of epoch 1, 2, …. */
  readonly values: readonly number[];
  readonly format: (value: number) => string;
}

export class ValuesTable {
  readonly element: HTMLDetailsElement;
  private readonly head = h('thead');
  private readonly body = h('tbody');
  private readonly table = h('table', { class: 'table compact values-table' }, this.head, this.body);
  private columnsKey = '';

  constructor(caption: string, onToggle: (open: boolean) => void) {
    this.element = h('details', { class: 'values' }, h('summary', {}, caption),
      h('div', { class: 'values-scroll', tabindex: 0, role: 'region', 'aria-label': caption }, this.table));
    this.element.addEventListener('toggle', () => onToggle(this.element.open));
  }

  /** Adds rows and corrects cells in place, so that scroll and selection stay. */
  update(columns: readonly Column[]): void {
    const key = JSON.stringify(columns.map(({ id, label }) => [id, label]));
    if (key !== this.columnsKey) {
      this.columnsKey = key;
      this.head.replaceChildren(h('tr', {}, h('th', { scope: 'col' }, t('epoch')), ...columns.map((column) => h('th', { scope: 'col', class: 'num' }, column.label))));
      this.body.replaceChildren();
    }
    const rows = columns.reduce((most, column) => Math.max(most, column.values.length), 0);
    while (this.body.rows.length > rows) this.body.deleteRow(-1);
    for (let index = this.body.rows.length; index < rows; index++) {
      this.body.append(h('tr', {}, h('th', { scope: 'row' }, String(index + 1)),
        ...columns.map((column) => h('td', { class: 'num', 'data-epoch': index + 1, 'data-column': column.id }))));
    }
    for (let index = 0; index < rows; index++) {
      columns.forEach((column, at) => {
        const cell = this.body.rows[index]?.cells[at + 1];
        if (!cell) return;
        const value = column.values[index];
        if (value === undefined) delete cell.dataset['value'];
        else cell.dataset['value'] = String(value);
        setText(cell, value === undefined ? MISSING : column.format(value));
      });
    }
  }
}
