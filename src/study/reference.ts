// The study that this product grew from, to be put beside one's own.
import type { Colour, Strategy } from '../protocol/run.js';

export interface ReferenceDataset {
  readonly name: string;
  /** What folders of these images are called, in small letters and digits alone. */
  readonly known: readonly string[];
  readonly train: number;
  readonly validation: number;
  readonly classes: number;
  /** Accuracies of the best validation epoch. */
  readonly accuracies: Readonly<Partial<Record<`${Strategy} ${Colour}`, number>>>;
}

/** ResNet18, 15 epochs, best validation epoch; one run each, so without an interval over seeds. */
export const REFERENCE: { readonly source: string; readonly datasets: readonly ReferenceDataset[] } = {
  source: 'one run each, ResNet18, 15 epochs',
  datasets: [
    {
      name: 'Hymenoptera', known: ['hymenoptera', 'hymenopteradata', 'antsbees', 'antsandbees'], train: 244, validation: 153, classes: 2,
      accuracies: { 'finetune rgb': 0.954, 'freeze rgb': 0.961, 'finetune gray': 0.922, 'freeze gray': 0.902 },
    },
    {
      name: 'Simpsons', known: ['simpsons', 'thesimpsons', 'simpsonscharacters'], train: 15_638, validation: 3910, classes: 20,
      accuracies: { 'finetune rgb': 0.925, 'freeze rgb': 0.642, 'finetune gray': 0.902, 'freeze gray': 0.543 },
    },
    {
      name: 'Dogs and cats', known: ['dogcat', 'dogscats', 'dogsandcats', 'dogsvscats', 'catsdogs', 'catsanddogs', 'catsvsdogs'], train: 20_000, validation: 5000, classes: 2,
      accuracies: { 'finetune rgb': 0.989, 'freeze rgb': 0.981, 'finetune gray': 0.989, 'freeze gray': 0.976 },
    },
    {
      name: 'Caltech256', known: ['caltech256', '256objectcategories'], train: 24_491, validation: 6116, classes: 257,
      accuracies: { 'finetune rgb': 0.674, 'freeze rgb': 0.543, 'finetune gray': 0.613, 'freeze gray': 0.435 },
    },
  ],
};

/** The reference's accuracy for a cell of one's own, by the dataset's name; undefined where it has none. */
export function referenceAccuracy(dataset: string, strategy: Strategy, colour: Colour): number | undefined {
  const name = (dataset.split('/').at(-1) ?? '').toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  return REFERENCE.datasets.find(({ known }) => known.includes(name))?.accuracies[`${strategy} ${colour}`];
}
