// The Classify tab: images, what a run's network says of each, and how sure it is.
import { formatAccuracy } from '../metrics/format.js';
import type { Classification } from '../protocol/classification.js';
import { networkTitle } from './runView.js';
import { button, h, icon, setChildren, setText } from './dom.js';
import { recorded, t } from './words.js';

export interface ClassifyScreenActions {
  classifyOthers(): void;
  openRun(directory: string): void;
}

export class ClassifyScreen {
  readonly element = h('div', { class: 'page page-classify', id: 'screen-classify', role: 'tabpanel', 'aria-labelledby': 'tab-classify' });
  private readonly run = h('bdi', { class: 'name' });
  private readonly meta = h('ul', { class: 'meta' });
  private readonly list = h('ul', { class: 'classified' });
  private directory = '';

  constructor(private readonly callbacks: ClassifyScreenActions) {
    const others = button(t('Choose images'), { glyph: 'add', action: 'classify', onClick: () => this.callbacks.classifyOthers() });
    const open = button(t('Open run'), { action: 'openRun', onClick: () => this.callbacks.openRun(this.directory) });
    this.element.append(
      h('header', { class: 'head' }, h('div', { class: 'head-row' }, h('h1', {}, this.run), h('div', { class: 'actions' }, open, others)), this.meta),
      this.list,
      h('p', { class: 'fine' }, t('A probability is what the network says of itself. It is not how often such an answer is right.')),
    );
  }

  show({ run, directory, score, network, images }: Classification): void {
    this.directory = directory;
    setText(this.run, t('By {0}', run));
    setChildren(this.meta, JSON.stringify([score, network]), () => [h('li', {}, networkTitle(network)), h('li', {}, score)]);
    setChildren(this.list, JSON.stringify(images), () => images.map((image) => {
      const name = h('bdi', { class: 'name muted' }, image.name);
      if (image.type === 'unreadable') {
        return h('li', { class: 'classified-image unreadable' }, h('span', { class: 'thumbnail' }, icon('warning', 'warn')), h('div', {}, name, h('p', {}, recorded(image.reason))));
      }
      const [first] = image.top;
      const picture = image.thumbnail === undefined ? h('span', { class: 'thumbnail' })
        : h('img', { class: 'thumbnail', alt: '', src: `data:image/jpeg;base64,${image.thumbnail}` });
      return h('li', { class: 'classified-image' }, picture, h('div', {},
        h('h2', {}, h('bdi', { class: 'name' }, first?.label), ' ', h('span', { class: 'num' }, formatAccuracy(first?.probability))), name,
        h('ol', { class: 'probabilities', 'aria-label': t('Most probable classes') }, ...image.top.map(({ label, probability }) =>
          h('li', {}, h('bdi', { class: 'name' }, label), h('span', { class: 'bar', '--share': probability.toFixed(4), 'aria-hidden': 'true' }), h('span', { class: 'num' }, formatAccuracy(probability))))),
      ));
    }));
  }
}
