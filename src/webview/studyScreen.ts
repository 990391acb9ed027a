// The Study tab: how far it is, what it says in words, small curves, the table, the tests. One frame whose parts change with each snapshot.
import { formatAccuracy, formatClock, formatPValue } from '../metrics/format.js';
import type { StudySample } from '../protocol/messages.js';
import type { StudyCell, StudyRun, StudySnapshot, UnreadableStudy } from '../protocol/study.js';
import { curvesOf, drawCurves } from '../study/curves.js';
import { estimatedSeconds, secondsLeft } from '../study/plan.js';
import { cellTexts, pairRows, studyColumns, studyFacts, studyRows, timeText, type StudyColumn, type StudyRow } from '../study/tables.js';
import { isTestedPair, studyNotes, studyVerdicts } from '../study/verdict.js';
import { button, h, icon, setChildren, setText, svg, type Child } from './dom.js';
import { swatch } from './marks.js';
import { recorded, t, WORDS } from './words.js';

export interface StudyScreenActions {
  /** Each of the study in this folder. */
  stop(directory: string): void;
  resume(directory: string): void;
  exportTable(directory: string): void;
  openLog(directory: string): void;
  /** `run`: the name of its folder. */
  openRun(directory: string, run: string): void;
}

export interface StudyContent {
  readonly study: StudySnapshot | UnreadableStudy | undefined;
  readonly samples: readonly StudySample[];
  readonly cannotTrain?: string | undefined;
}

const GRAY_DASH = [7, 4];

export class StudyScreen {
  readonly element = h('div', { class: 'page page-study', id: 'screen-study', role: 'tabpanel', 'aria-labelledby': 'tab-study' });
  private readonly blank = h('div', { class: 'empty' });
  private readonly aside = h('span', { class: 'aside' });
  private readonly state = h('span', { class: 'state', role: 'status' });
  private readonly actions = h('div', { class: 'actions' });
  private readonly meta = h('ul', { class: 'meta' });
  private readonly verdict = h('section', { class: 'verdict', 'aria-label': t('Verdict') });
  private readonly legend = h('ul', { class: 'study-legend' });
  private readonly charts = h('div', { class: 'study-charts' });
  private readonly head = h('thead');
  private readonly body = h('tbody');
  private readonly pairsBody = h('tbody');
  private readonly pairs = h('table', { class: 'table stack pairs study-pairs' }, h('caption', {}, t('Tests')),
    h('thead', {}, h('tr', {}, ...[t('Where'), t('Compared')].map((label) => h('th', { scope: 'col' }, label)),
      ...[t('Difference'), t('95% interval'), t('p, corrected')].map((label) => h('th', { scope: 'col', class: 'num' }, label)), ...[t('Test'), t('Verdict')].map((label) => h('th', { scope: 'col' }, label)))),
    this.pairsBody);
  private readonly failures = h('ul', { class: 'study-failures' });
  private readonly notes = h('div', { class: 'fine' });
  private readonly frame: readonly HTMLElement[];

  constructor(private readonly callbacks: StudyScreenActions) {
    this.frame = [
      h('header', { class: 'head' }, h('div', { class: 'head-row' }, h('h1', {}, t('Study'), this.aside), this.state, this.actions), this.meta),
      this.verdict, this.legend, this.charts,
      h('table', { class: 'table stack study-table' }, h('caption', { class: 'sr' }, t('Accuracy by dataset, strategy and colour')), this.head, this.body),
      this.failures, this.pairs, this.notes,
    ];
    this.element.append(this.blank, ...this.frame);
  }

  show({ study, samples, cannotTrain }: StudyContent): void {
    const readable = study !== undefined && 'record' in study ? study : undefined;
    for (const part of this.frame) part.hidden = readable === undefined;
    this.blank.hidden = readable !== undefined;
    if (readable === undefined) {
      setChildren(this.blank, JSON.stringify(study ?? null), () => [icon('graph-line'), h('h1', {}, t('No study to show')),
        h('p', {}, study === undefined ? t('Choose Run Study… on one or several folders.') : t('{0} can\'t be read: {1}.', 'id' in study ? study.id : '', recorded('reason' in study ? study.reason : '')))]);
      return;
    }
    const columns = studyColumns(readable, WORDS);
    const rows = studyRows(readable, WORDS);
    this.showHead(readable, cannotTrain);
    this.showVerdict(readable);
    this.showLegend(columns);
    this.showCharts(readable, rows, samples);
    this.showTable(readable, columns, rows);
    this.showPairs(readable);
    this.showFailures(readable);
    const notes = studyNotes(readable.record, WORDS);
    setChildren(this.notes, JSON.stringify(notes), () => notes.map((note) => h('p', {}, note)));
  }

  private showHead(study: StudySnapshot, cannotTrain: string | undefined): void {
    const { directory, record, state } = study;
    const [what, ...rest] = studyFacts(study, WORDS);
    setText(this.aside, what ?? '');
    const live = isLive(study);
    const line = progressText(study);
    setChildren(this.state, JSON.stringify([line, live, state]), () => [
      live ? icon('loading', 'run') : state === 'finished' ? icon('pass', 'good') : state === 'failed' ? icon('error', 'bad') : icon('warning', 'warn'), h('span', {}, line),
    ]);
    const unfinished = !live && record.runs.some((run) => run.state !== 'finished' && run.state !== 'leftOut'); // for what was left out there is no time
    setChildren(this.actions, JSON.stringify([directory, live, unfinished, cannotTrain]), () => [
      live && button(t('Stop'), { glyph: 'debug-stop', action: 'stopStudy', onClick: () => this.callbacks.stop(directory) }),
      unfinished && cannotTrain === undefined && button(t('Resume'), { look: 'primary', action: 'resumeStudy', onClick: () => this.callbacks.resume(directory) }),
      button(t('Open log'), { action: 'openStudyLog', onClick: () => this.callbacks.openLog(directory) }),
      button(t('Export table'), { action: 'exportStudy', onClick: () => this.callbacks.exportTable(directory) }),
    ]);
    const estimated = estimatedSeconds(record.runs.filter((run) => run.state !== 'leftOut' && run.takenUp !== true));
    setChildren(this.meta, JSON.stringify([study.device, rest, estimated]), () => [
      study.device !== undefined && h('li', {}, icon('chip'), recorded(study.device)), h('li', {}, rest.join(', ')),
      estimated !== undefined && h('li', {}, icon('clock'), t('estimated {0}', formatClock(estimated))),
    ]);
  }

  private showVerdict({ record }: StudySnapshot): void {
    const verdicts = studyVerdicts(record, WORDS);
    this.verdict.hidden = verdicts.length === 0;
    setChildren(this.verdict, JSON.stringify(verdicts), () => verdicts.flatMap(({ title, text }) => [h('h2', { class: 'verdict-title' }, title), h('p', {}, text)]));
  }

  private showLegend(columns: readonly StudyColumn[]): void {
    setChildren(this.legend, JSON.stringify(columns), () => [
      ...columns.map(({ strategy, colour, name }) => h('li', {}, swatch({ tone: strategy, ...(colour === 'gray' && { dash: GRAY_DASH }) }), name)),
      h('li', { class: 'muted' }, t('val accuracy by epoch, mean over seeds; each chart has its own scale')),
    ]);
  }

  private showCharts(study: StudySnapshot, rows: readonly StudyRow[], samples: readonly StudySample[]): void {
    const severalBackbones = study.record.plan.backbones.length > 1;
    const drawn = rows.map((row) => ({ row, series: curvesOf(study, row.dataset, row.backbone), pictures: samples.filter(({ dataset }) => dataset === row.dataset) }));
    setChildren(this.charts, JSON.stringify([study.directory, drawn.map(({ row, series, pictures }) => [row.name, row.backbone, series, pictures.length])]), () => drawn.map(({ row, series, pictures }) => {
      const words = series.map(({ strategy, colour, values }) => `${strategy}${colour === 'gray' ? ` ${t('gray')}` : ''} ${formatAccuracy(values.at(-1))}`).join(', ');
      return h('section', { class: 'study-chart' },
        h('h2', {}, h('bdi', { class: 'name' }, row.name), severalBackbones && h('span', { class: 'muted' }, ` ${row.backbone}`)),
        h('div', { class: 'study-samples', role: 'img', 'aria-label': t('Images of {0}', row.name) }, ...pictures.map(({ thumbnail }) => h('img', { class: 'study-sample', alt: '', src: `data:image/jpeg;base64,${thumbnail}` }))),
        chart(series, t('Validation accuracy by epoch: {0}', words === '' ? t('no epoch yet') : words)));
    }));
  }

  private showTable(study: StudySnapshot, columns: readonly StudyColumn[], rows: readonly StudyRow[]): void {
    const severalBackbones = study.record.plan.backbones.length > 1;
    setChildren(this.head, JSON.stringify(columns), () => [h('tr', {}, h('th', { scope: 'col' }, t('Dataset')),
      ...columns.map(({ strategy, colour, name }) => h('th', { scope: 'col', class: 'num' }, swatch({ tone: strategy, ...(colour === 'gray' && { dash: GRAY_DASH }) }), ` ${name}`)))]);
    const cells = rows.map((row) => row.cells.map((cell, index) => this.cellView(study, row, cell, index)));
    setChildren(this.body, tableKey(study, rows, cells.map((all) => all.map(({ key }) => key))), () => rows.map((row, at) => h('tr', {},
      h('th', { scope: 'row' }, h('bdi', { class: 'name' }, row.name), h('span', { class: 'study-facts' }, row.facts), severalBackbones && h('span', { class: 'study-facts' }, row.backbone)),
      ...(cells[at] ?? []).map(({ content }, column) => h('td', { class: 'num', 'data-label': columns[column]?.name ?? '' }, ...content())))));
  }

  private cellView(study: StudySnapshot, row: StudyRow, cell: StudyCell, index: number): { readonly key: string; readonly content: () => Child[] } {
    const { mean, interval, method } = cellTexts(cell, WORDS);
    const runs = study.record.runs.map((run, at) => ({ run, at })).filter(({ run }) => run.dataset === cell.dataset && run.backbone === cell.backbone && run.strategy === cell.strategy && run.colour === cell.colour);
    const running = runs.find(({ run }) => run.state === 'running');
    const failed = runs.find(({ run }) => run.state === 'failed');
    const curve = running === undefined ? undefined : study.curves.find(({ run }) => run === running.at);
    const status = running !== undefined && isLive(study) ? (curve !== undefined && curve.validation.length > 0 ? t('epoch {0} of {1}', curve.validation.length, curve.epochs) : t('running'))
      : failed !== undefined && cell.seeds.length === 0 ? t('failed') : '';
    const last = runs.filter(({ run }) => run.state === 'finished').at(-1)?.run;
    const time = timeText(row, cell, WORDS);
    return {
      key: JSON.stringify([mean, interval, method, time, status, row.best[index], last?.run]),
      content: () => {
        const value = h('span', { class: row.best[index] === true ? 'strong' : '' }, mean);
        const folder = last?.run;
        const open = last === undefined || folder === undefined ? value : h('button', { type: 'button', class: 'link', 'data-action': 'openStudyRun', 'aria-label': t('{0}, open the run of seed {1}', mean, last.seed) }, value);
        if (folder !== undefined) open.addEventListener('click', () => this.callbacks.openRun(study.directory, folder));
        return [h('span', { class: 'study-cell' },
          cell.seeds.length === 0 && status !== '' ? h('span', {}, icon(status === t('failed') ? 'error' : 'loading', status === t('failed') ? 'bad' : 'run'), ` ${status}`) : open,
          cell.interval !== undefined && h('span', { class: 'study-facts' }, interval),
          cell.interval !== undefined && h('span', { class: 'study-facts' }, method),
          cell.seconds !== undefined && h('span', { class: 'study-facts' }, time),
          cell.seeds.length > 0 && status !== '' && h('span', { class: 'study-facts' }, icon('loading', 'run'), ` ${status}`))];
      },
    };
  }

  private showPairs(study: StudySnapshot): void {
    const rows = pairRows(study, WORDS);
    this.pairs.hidden = rows.length === 0;
    setChildren(this.pairsBody, JSON.stringify(rows), () => rows.map((row) => h('tr', {},
      h('th', { scope: 'row' }, h('bdi', { class: 'name' }, row.place)), h('td', {}, row.sides),
      h('td', { class: 'num', 'data-label': t('difference') }, row.difference), h('td', { class: 'num', 'data-label': t('95% interval') }, row.interval),
      h('td', { class: 'num', 'data-label': t('p, corrected') }, isTestedPair(row.pair) ? formatPValue(row.pair.pHolm) : row.p), h('td', { class: 'muted' }, row.test, row.bySeed !== undefined && h('span', { class: 'study-facts' }, row.bySeed)), h('td', { class: 'c-verdict' }, row.verdict))));
  }

  private showFailures({ record }: StudySnapshot): void {
    const failed = record.runs.filter((run): run is StudyRun & { failure: NonNullable<StudyRun['failure']> } => run.state === 'failed' && run.failure !== undefined);
    const all = [...(record.failure === undefined || failed.length > 0 ? [] : [{ where: '', failure: record.failure }]),
      ...failed.map((run) => ({ where: `${record.plan.datasets[run.dataset]?.name ?? ''}, ${run.strategy}, ${run.colour === 'gray' ? t('gray') : t('colour')}, ${t('seed {0}', run.seed)}`, failure: run.failure }))];
    this.failures.hidden = all.length === 0;
    setChildren(this.failures, JSON.stringify(all), () => all.slice(0, 20).map(({ where, failure }) => h('li', {}, icon('error', 'bad'),
      h('span', {}, where !== '' && h('bdi', { class: 'name' }, `${where}: `), recorded(`${failure.message}. ${failure.next}.`)))));
  }
}

/** What the table's body is drawn from: its cells, what is said of each row, and whose they are, since another study may have a table of the same shape. */
export function tableKey({ directory }: StudySnapshot, rows: readonly StudyRow[], cells: readonly (readonly string[])[]): string {
  return JSON.stringify([directory, rows.map(({ name, facts, backbone }) => [name, facts, backbone]), cells]);
}

function isLive({ state }: StudySnapshot): boolean {
  return state === 'waiting' || state === 'starting' || state === 'running';
}

/** `15 of 16 runs done, about 5:12 left` */
export function progressText(study: StudySnapshot): string {
  const { record, state } = study;
  const wanted = record.runs.filter((run) => run.state !== 'leftOut').length;
  const done = record.runs.filter((run) => run.state === 'finished' || run.state === 'failed').length;
  const count = t('{0} of {1} runs done', done, wanted);
  switch (state) {
    case 'waiting': case 'starting': return record.estimate === undefined ? t('Estimating how long it takes') : count;
    case 'running': {
      const left = secondsLeft(record);
      return left === undefined ? count : t('{0}, about {1} left', count, formatClock(left));
    }
    case 'finished': return t('Finished, {0}', count);
    case 'stopped': return t('Stopped, {0}', count);
    case 'interrupted': return t('Interrupted, {0}', count);
    case 'failed': return t('Failed, {0}', count);
  }
}

function chart(series: Parameters<typeof drawCurves>[0], label: string): SVGSVGElement {
  const { width, height, grid, axis, lines } = drawCurves(series);
  return svg('svg', { class: 'study-curves', role: 'img', 'aria-label': label, viewBox: `0 0 ${width} ${height}` },
    ...grid.flatMap((line) => [svg('line', { class: 'grid', x1: axis.left, x2: axis.right, y1: line.y, y2: line.y }), svg('text', { x: axis.left - 6, y: line.y + 4, 'text-anchor': 'end' }, line.label)]),
    svg('line', { class: 'axis', x1: axis.left, x2: axis.right, y1: axis.y, y2: axis.y }), svg('text', { x: axis.left, y: height - 4 }, '1'), svg('text', { x: axis.right, y: height - 4, 'text-anchor': 'end' }, String(axis.epochs)),
    ...lines.map(({ classes, points }) => (points.length === 1 ? svg('circle', { class: `curve ${classes}`, cx: points[0]?.[0], cy: points[0]?.[1], r: 2.5 })
      : svg('polyline', { class: `curve ${classes}`, points: points.map((point) => point.join(',')).join(' ') }))));
}
