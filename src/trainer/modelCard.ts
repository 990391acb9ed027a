// The model card: what a model was made from, how good it is and on what, and how an image becomes its input. Markdown.
import { GRAY_FORMULA, inputFormOf, type ExportChoice } from '../network/exports/trainedModel.js';
import { ONNX_OUTPUTS } from '../network/exports/onnxModel.js';
import type { Graph } from '../network/graph.js';
import { WEIGHTS } from '../network/weights/catalogue.js';
import { formatAccuracy, formatCount, formatInterval } from '../metrics/format.js';
import type { RunData, RunRecord, RunResult } from '../protocol/run.js';

/** A run that has a model. */
export type TrainedRecord = RunRecord & { readonly data: RunData; readonly result: RunResult };

export function modelCard(record: TrainedRecord, graph: Graph, choice: ExportChoice, version: string): string {
  const { configuration, data } = record;
  const sections = [
    `# ${configuration.backbone} on ${plain(record.dataset.name)}`,
    `An image classifier with ${formatCount(data.classes.length)} classes, trained ${trainingWords(configuration)} with Thaw on ${record.createdAt.slice(0, 10)} and exported with Thaw ${version}.`,
    '## Accuracy', accuracyOf(record.result),
    '## Input and output', inputOf(graph, choice), preparationOf(graph, choice).map((line, index) => `${String(index + 1)}. ${line}`).join('\n'), outputOf(choice),
    '## Data', dataOf(record), classTable(data),
    '## Training', `\`\`\`json\n${JSON.stringify(configuration, undefined, 2)}\n\`\`\``, environmentOf(record),
    '## Pretrained weights', weightsOf(record),
    '## Limits', 'The figures hold for images like those of the data. The network gives one of its classes to every image, one that shows none of them too.',
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function trainingWords({ strategy, colour }: RunRecord['configuration']): string {
  const images = colour === 'gray' ? ' on gray images' : '';
  switch (strategy) {
    case 'freeze':
    case 'finetune': return `by ${strategy}${images}`;
    case 'scratch': return `from scratch${images}`;
  }
}

function accuracyOf(result: RunResult): string {
  const score = `${formatAccuracy(result.accuracy)} ${formatInterval(result.interval)}: ${formatCount(result.correct)} of ${formatCount(result.total)} images right (95 % Wilson interval)`;
  if (result.accuracySplit === 'test') return `${score}, on the test images, which neither training nor the choice of the epoch has seen. On the validation images: ${scoreText(result.validation)}.`;
  return `${score}, on the validation images. The best of ${formatCount(result.epochs)} epochs was chosen on these very images, so the figure is a little optimistic.`;
}

function scoreText({ accuracy, interval, correct, total }: RunResult['validation']): string {
  return `${formatAccuracy(accuracy)} ${formatInterval(interval)}, ${formatCount(correct)} of ${formatCount(total)} right`;
}

function inputOf(graph: Graph, choice: ExportChoice): string {
  const { name, type, layout } = inputFormOf(choice);
  const size = String(graph.inputSize);
  const shape = layout === 'NCHW' ? `[batch, 3, ${size}, ${size}]` : `[batch, ${size}, ${size}, 3]`;
  return `The input${choice.format === 'onnx' ? `, \`${name}\`,` : ''} is ${type} \`${shape}\`, ${inputWords(graph, type)}. How an image becomes it:`;
}

function inputWords({ preprocessing: { colour } }: Graph, type: 'float32' | 'uint8'): string {
  switch (colour) {
    case 'rgb': return type === 'uint8' ? 'RGB, pixels as they are: the network normalises them' : 'RGB, normalised';
    case 'gray': return type === 'uint8' ? 'RGB, pixels as they are, in colour: the network makes them gray and normalises them' : 'gray on three equal channels, normalised';
  }
}

/** What Thaw does itself in training and prediction (src/dataset/decode.ts), step by step. */
function preparationOf(graph: Graph, choice: ExportChoice): string[] {
  const { resizeShortSide, crop, kernel, colour, mean, std } = graph.preprocessing;
  const { type, layout } = inputFormOf(choice);
  const numbers = (values: readonly number[]): string => values.map((value) => String(Number(value.toFixed(4)))).join(', ');
  const filter = kernel === 'cubic' ? 'bicubic (Catmull-Rom, a = −0.5)' : 'bilinear (triangle)';
  return [
    'Decode to 8-bit RGB. Turn the image as its EXIF orientation says; lay transparency over white; gray becomes three equal channels, 16 bits become 8; of an animation or several pages take the first. Embedded colour profiles are not applied, but for CMYK.',
    `Resize so that the shorter side has ${String(resizeShortSide)} pixels and the longer one its share, rounded down. Filter: ${filter}, widened by the scale when shrinking (antialiased), as PIL's \`Image.resize\` does it. Of an image more than eight times as long as wide, only the middle is resized.`,
    `Cut the square of ${String(crop)} × ${String(crop)} pixels out of the centre; half a pixel is rounded to the even one.`,
    ...(colour === 'gray' && type !== 'uint8' ? [`Make it gray: on all three channels the luminance of ITU-R 601, ${GRAY_FORMULA}, of the 8-bit values, as PIL's \`convert('L')\` does it.`] : []),
    ...(type === 'uint8' ? [] : [`Normalise each channel: (value − mean) / std, on the scale 0 to 255, with mean = [${numbers(mean)}] and std = [${numbers(std)}].`]),
    layout === 'NCHW' ? 'Put the channels first: [batch, channel, row, column].' : 'Leave the channels last: [batch, row, column, channel].',
  ];
}

function outputOf({ format }: ExportChoice): string {
  const order = 'in the order of `labels.json`';
  switch (format) {
    case 'onnx': return `Outputs, \`[batch, classes]\`, ${order}: \`${ONNX_OUTPUTS.probabilities}\` (softmax) and \`${ONNX_OUTPUTS.logits}\`.`;
    case 'tfjs': return `The output is probabilities (softmax), \`[batch, classes]\`, ${order}. Load it with \`tf.loadLayersModel('model.json')\`.`;
    case 'safetensors': return `The network gives logits, \`[batch, classes]\`, ${order}; softmax makes them probabilities. Batch norm is in evaluation mode. Names and layouts of the tensors are PyTorch's.`;
    case 'pytorch': return `The network gives logits, \`[batch, classes]\`, ${order}; softmax makes them probabilities. \`predict.py\` loads the weights strictly and classifies images: \`python predict.py IMAGE\`. It decodes with PIL, whose pixels may differ from Thaw's by a level or two.`;
  }
}

function dataOf({ dataset, data }: TrainedRecord): string {
  const test = data.test > 0 ? `, ${formatCount(data.test)} for test` : '';
  const split = data.layout === 'given' ? 'The split was given by folders' : 'The split was made by the content of the files';
  const leftOut = data.leftOutCount > 0 ? ` ${formatCount(data.leftOutCount)} images were left out.` : '';
  return `The folder ${plain(dataset.name)}: ${formatCount(data.train)} images for training, ${formatCount(data.validation)} for validation${test}. ${split}.${leftOut} SHA-256 over every image's content, split and class: \`${data.fingerprint}\`.`;
}

function classTable(data: RunData): string {
  const tested = data.test > 0;
  const rows = data.classes.map((name, index) => {
    const counts = data.counts[index];
    return `| ${String(index)} | ${plain(name)} | ${formatCount(counts?.train)} | ${formatCount(counts?.validation)} |${tested ? ` ${formatCount(counts?.test)} |` : ''}`;
  });
  return [`| index | class | train | validation |${tested ? ' test |' : ''}`, `|---:|---|---:|---:|${tested ? '---:|' : ''}`, ...rows].join('\n');
}

function environmentOf({ environment, result }: TrainedRecord): string {
  const epochs = `The weights are those of epoch ${String(result.bestEpoch)} of ${String(result.epochs)}.`;
  if (environment === undefined) return epochs;
  return `${epochs} Trained on ${plain(environment.device.name)} with Thaw ${plain(environment.thaw)}, TensorFlow ${plain(environment.tensorflow)}, sharp ${plain(environment.sharp)}.`;
}

function weightsOf({ environment, configuration }: TrainedRecord): string {
  if (configuration.strategy === 'scratch') return `None. Training started from random values, drawn with seed ${String(configuration.seed)} from the distributions that the network's own package uses.`;
  const weights = environment?.weights;
  if (weights === undefined) return 'The run does not say which weights training started from.';
  const known = WEIGHTS[configuration.backbone];
  const licence = configuration.weights === undefined && weights.sha256.startsWith(known.sha256) ? `Licence: ${known.licence}` : 'Their licence is not known to Thaw: these are not weights of its catalogue';
  return `Training started from ${plain(weights.name)}, from ${plain(weights.source)}, SHA-256 \`${weights.sha256}\`. ${licence}.`;
}

/** Text as itself, on one line, and no link: names come from folders, which may hold anything. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').replace(/[\\`*_[\]<>|~&@]|(?<=www)\.|:(?=\/\/)/gi, '\\$&');
}
