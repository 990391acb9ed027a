// ONNX files: the messages of the format that a network needs, to bytes and back. Field numbers: onnx/onnx.proto of the ONNX standard.
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ThawError } from '../../protocol/errors.js';

/** `TensorProto.DataType` of the standard. */
export const ONNX_TYPES = { float32: 1, uint8: 2 } as const;

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: Float32Array;
}

export type OnnxAttribute = number | string | readonly number[];

export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whole numbers, texts, and lists of whole numbers. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxValue {
  readonly name: string;
  readonly type: keyof typeof ONNX_TYPES;
  /** A name is a size that may differ from call to call. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxModel {
  readonly irVersion: number;
  /** Version of the standard's operators. */
  readonly opset: number;
  readonly producer: { readonly name: string; readonly version: string };
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph: {
    readonly name: string;
    readonly nodes: readonly OnnxNode[];
    readonly initializers: readonly OnnxTensor[];
    readonly inputs: readonly OnnxValue[];
    readonly outputs: readonly OnnxValue[];
  };
}

/** `AttributeProto.AttributeType` of the standard. */
const ATTRIBUTE = { int: 2, string: 3, ints: 7 } as const;

/** The bytes of a model file. */
export function writeOnnx(model: OnnxModel): Uint8Array {
  const writer = new BinaryWriter();
  const { graph } = model;
  int(writer, 1, model.irVersion);
  text(writer, 2, model.producer.name);
  text(writer, 3, model.producer.version);
  text(writer, 6, model.description);
  message(writer, 7, () => {
    for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node));
    text(writer, 2, graph.name);
    for (const tensor of graph.initializers) message(writer, 5, () => writeTensor(writer, tensor));
    for (const value of graph.inputs) message(writer, 11, () => writeValue(writer, value));
    for (const value of graph.outputs) message(writer, 12, () => writeValue(writer, value));
  });
  message(writer, 8, () => {
    text(writer, 1, ''); // the standard's own operators
    int(writer, 2, model.opset);
  });
  for (const [key, value] of Object.entries(model.metadata)) {
    message(writer, 14, () => {
      text(writer, 1, key);
      text(writer, 2, value);
    });
  }
  return writer.finish();
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
  for (const name of node.inputs) text(writer, 1, name);
  for (const name of node.outputs) text(writer, 2, name);
  text(writer, 3, node.name);
  text(writer, 4, node.operator);
  for (const [name, value] of Object.entries(node.attributes)) {
    message(writer, 5, () => {
      text(writer, 1, name);
      if (typeof value === 'number') {
        int(writer, 3, value);
        int(writer, 20, ATTRIBUTE.int);
      } else if (typeof value === 'string') {
        text(writer, 4, value);
        int(writer, 20, ATTRIBUTE.string);
      } else {
        for (const each of value) int(writer, 8, each);
        int(writer, 20, ATTRIBUTE.ints);
      }
    });
  }
}

function writeTensor(writer: BinaryWriter, { name, shape, data }: OnnxTensor): void {
  for (const size of shape) int(writer, 1, size);
  int(writer, 2, ONNX_TYPES.float32);
  text(writer, 8, name);
  // Raw numbers are little-endian in the standard, as they are on every machine that Thaw runs on.
  writer.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue(writer: BinaryWriter, { name, type, shape }: OnnxValue): void {
  text(writer, 1, name);
  message(writer, 2, () => message(writer, 1, () => {
    int(writer, 1, ONNX_TYPES[type]);
    message(writer, 2, () => {
      for (const size of shape) {
        message(writer, 1, () => {
          if (typeof size === 'number') int(writer, 1, size);
          else text(writer, 2, size);
        });
      }
    });
  }));
}

function int(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function message(writer: BinaryWriter, field: number, write: () => unknown): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

/**
 * Reads what `writeOnnx` can write.
 * @throws ThawError `bad-onnx` for a file that is cut off, damaged, or holds anything else
 */
export function readOnnx(bytes: Uint8Array): OnnxModel {
  const model = { irVersion: 0, opset: 0, producer: { name: '', version: '' }, description: '', metadata: {} as Record<string, string> };
  const graph = { name: '', nodes: [] as OnnxNode[], initializers: [] as OnnxTensor[], inputs: [] as OnnxValue[], outputs: [] as OnnxValue[] };
  try {
    const reader = new BinaryReader(bytes);
    fields(reader, bytes.length, {
      1: () => { model.irVersion = Number(reader.int64()); },
      2: () => { model.producer.name = reader.string(); },
      3: () => { model.producer.version = reader.string(); },
      6: () => { model.description = reader.string(); },
      7: () => inner(reader, {
        1: () => graph.nodes.push(readNode(reader)),
        2: () => { graph.name = reader.string(); },
        5: () => graph.initializers.push(readTensor(reader)),
        11: () => graph.inputs.push(readValue(reader)),
        12: () => graph.outputs.push(readValue(reader)),
      }),
      8: () => inner(reader, { 1: () => { reader.string(); }, 2: () => { model.opset = Number(reader.int64()); } }),
      14: () => {
        let [key, value] = ['', ''];
        inner(reader, { 1: () => { key = reader.string(); }, 2: () => { value = reader.string(); } });
        model.metadata[key] = value;
      },
    });
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw refused(error instanceof Error ? error.message : String(error), error);
  }
  return { ...model, graph };
}

type Fields = Readonly<Record<number, (wireType: WireType) => unknown>>;

function readNode(reader: BinaryReader): OnnxNode {
  const node = { name: '', operator: '', inputs: [] as string[], outputs: [] as string[], attributes: {} as Record<string, OnnxAttribute> };
  inner(reader, {
    1: () => node.inputs.push(reader.string()),
    2: () => node.outputs.push(reader.string()),
    3: () => { node.name = reader.string(); },
    4: () => { node.operator = reader.string(); },
    5: () => {
      let [name, value] = ['', undefined as OnnxAttribute | undefined];
      const list: number[] = [];
      inner(reader, {
        1: () => { name = reader.string(); },
        3: () => { value = Number(reader.int64()); },
        4: () => { value = reader.string(); },
        8: () => list.push(Number(reader.int64())),
        20: () => { if (reader.int32() === ATTRIBUTE.ints) value = list; },
      });
      if (value === undefined) throw refused(`attribute ${JSON.stringify(name)} has no value`);
      node.attributes[name] = value;
    },
  });
  return node;
}

function readTensor(reader: BinaryReader): OnnxTensor {
  let [name, type] = ['', 0];
  const shape: number[] = [];
  let raw: Uint8Array | undefined;
  inner(reader, {
    1: () => shape.push(Number(reader.int64())),
    2: () => { type = reader.int32(); },
    8: () => { name = reader.string(); },
    9: () => { raw = reader.bytes(); },
  });
  const bytes = 4 * shape.reduce((product, size) => product * size, 1);
  if (type !== ONNX_TYPES.float32 || raw?.byteLength !== bytes) throw refused(`tensor ${JSON.stringify(name)} is not ${String(bytes)} bytes of float32`);
  return { name, shape, data: new Float32Array(Uint8Array.from(raw).buffer) };
}

function readValue(reader: BinaryReader): OnnxValue {
  let name = '';
  let type: OnnxValue['type'] | undefined;
  const shape: (number | string)[] = [];
  inner(reader, {
    1: () => { name = reader.string(); },
    2: () => inner(reader, {
      1: () => inner(reader, {
        1: () => { type = reader.int32() === ONNX_TYPES.uint8 ? 'uint8' : 'float32'; },
        2: () => inner(reader, { 1: () => inner(reader, { 1: () => shape.push(Number(reader.int64())), 2: () => shape.push(reader.string()) }) }),
      }),
    }),
  });
  if (type === undefined) throw refused(`value ${JSON.stringify(name)} has no type`);
  return { name, type, shape };
}

/** Reads a message within another. */
function inner(reader: BinaryReader, known: Fields): void {
  const length = reader.uint32();
  fields(reader, reader.pos + length, known);
}

function fields(reader: BinaryReader, end: number, known: Fields): void {
  if (end > reader.len) throw refused('it is cut off');
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    const read = known[field];
    if (read === undefined) throw refused(`field ${String(field)} is unknown here`);
    read(wireType);
  }
  if (reader.pos !== end) throw refused('a message overruns its end');
}

function refused(why: string, cause?: unknown): ThawError {
  return new ThawError('run', 'bad-onnx', `This is not an ONNX file as Thaw writes them: ${why}`, 'Export again', { cause });
}
