// Reads PyTorch's checkpoints (`torch.save`) of both layouts: the zip archive of 1.6 and later, and the legacy one, five pickles and then the
// numbers of every storage. Layouts: `_load` and `_legacy_load` in PyTorch's torch/serialization.py.
import * as yauzl from 'yauzl';
import { ThawError } from '../../protocol/errors.js';
import { crc32 } from '../../storage/crc32.js';
import { cutOff, Dictionary, gather, List, PickleMachine, refused, TensorReference, type Storage, type Value } from './pickle.js';
import { ELEMENT_BYTES, quoted, storedTensor, type StateDict } from './stateDict.js';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** A network has some hundred tensors, an optimizer twice as many. */
const MOST_ENTRIES = 100_000;

/** Where training scripts keep the state dict in a checkpoint that holds more; the first that is there counts. */
const STATE_DICT_KEYS = ['state_dict', 'model_state_dict', 'model'] as const;

/**
 * Reads the state dict of a checkpoint: a dictionary of tensors, alone or beside other plain values under `state_dict`, `model_state_dict` or
 * `model`.
 * @throws ThawError `bad-checkpoint` for a file that is cut off, damaged, of another layout or kind, larger than it can be, or that names
 *   anything but tensors. Time and memory are bounded by the file's length.
 */
export async function readPyTorchFile(bytes: Uint8Array): Promise<StateDict> {
  return isZip(bytes) ? readZipLayout(bytes) : readLegacyLayout(bytes);
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** As `readPyTorchFile`, for the layout before PyTorch 1.6. */
export function readLegacyLayout(bytes: Uint8Array): StateDict {
  const machine = new PickleMachine(bytes, bytes.length);
  if (machine.run() !== MAGIC) throw refused('it does not begin like a PyTorch checkpoint');
  if (machine.run() !== PROTOCOL) throw refused('its protocol is not 1001');
  const system = machine.run();
  if (!(system instanceof Dictionary) || system.entries.get('little_endian') !== true) throw refused('its numbers are not little-endian');
  const root = machine.run();
  const order = machine.run();
  const offsets = storageOffsets(bytes, machine.position, order, machine.storages);
  return readTensors(root, bytes.length, ({ key }) => {
    const offset = offsets.get(key);
    return offset === undefined ? undefined : bytes.subarray(offset);
  });
}

/** Where each storage's numbers begin, by its key: after the pickles, for each key in order, a count of 8 bytes and the numbers. */
function storageOffsets(bytes: Uint8Array, start: number, order: Value, storages: ReadonlyMap<string, Storage>): Map<string, number> {
  if (!(order instanceof List)) throw refused('the list of its storages is missing');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = new Map<string, number>();
  let at = start;
  for (const key of order.items) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined || offsets.has(storage.key)) throw refused('the list of its storages does not fit its tensors');
    if (at + 8 > bytes.length) throw cutOff();
    if (view.getBigInt64(at, true) !== BigInt(storage.elements)) throw refused(`the size of storage ${quoted(storage.key)} contradicts itself`);
    at += 8;
    offsets.set(storage.key, at);
    at += storage.elements * ELEMENT_BYTES[storage.dtype];
    if (at > bytes.length) throw cutOff();
  }
  if (at !== bytes.length) throw refused('something follows its data');
  return offsets;
}

/**
 * `NAME/data.pkl`, and the numbers of each storage in `NAME/data/KEY`. PyTorch compresses nothing, so an archive unpacks to no more than its
 * own length.
 */
async function readZipLayout(bytes: Uint8Array): Promise<StateDict> {
  const archive = await StoredArchive.open(bytes);
  const pickles = archive.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickleName] = pickles;
  if (pickleName === undefined || pickles.length > 1) throw refused('it is an archive without the one data.pkl that PyTorch writes');
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const order = await archive.read(`${folder}byteorder`);
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little') throw refused('its numbers are not little-endian');
  const pickle = await archive.read(pickleName);
  if (pickle === undefined) throw cutOff();
  const machine = new PickleMachine(pickle, bytes.length);
  const root = machine.run();
  if (machine.position !== pickle.length) throw refused('something follows its pickle');

  const data = new Map<string, Uint8Array>();
  for (const storage of storagesOf(stateDictIn(root))) {
    const content = await archive.read(`${folder}data/${storage.key}`);
    if (content === undefined) continue; // `readTensors` says whose data are missing
    if (content.length !== storage.elements * ELEMENT_BYTES[storage.dtype]) throw refused(`the size of storage ${quoted(storage.key)} contradicts itself`);
    data.set(storage.key, content);
  }
  return readTensors(root, bytes.length, ({ key }) => data.get(key));
}

/** A zip archive in memory, of entries that are not compressed. */
class StoredArchive {
  private constructor(private readonly bytes: Uint8Array, private readonly zip: yauzl.ZipFile, private readonly entries: ReadonlyMap<string, yauzl.Entry>) {}

  static async open(bytes: Uint8Array): Promise<StoredArchive> {
    try {
      const zip = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      const entries = new Map<string, yauzl.Entry>();
      for await (const entry of zip.eachEntry()) {
        if (entries.has(entry.fileName)) throw refused(`its archive holds ${quoted(entry.fileName)} twice`);
        if (entries.size === MOST_ENTRIES) throw refused('its archive has more entries than any network');
        entries.set(entry.fileName, entry);
      }
      return new StoredArchive(bytes, zip, entries);
    } catch (error) {
      throw damagedArchive(error);
    }
  }

  get names(): string[] {
    return [...this.entries.keys()];
  }

  /** An entry's content, which shares the archive's memory. Undefined when there is no such entry. */
  async read(name: string): Promise<Uint8Array | undefined> {
    const entry = this.entries.get(name);
    if (entry === undefined) return undefined;
    if (entry.compressionMethod !== 0 || entry.compressedSize !== entry.uncompressedSize || entry.isEncrypted()) {
      throw refused(`${quoted(name)} is compressed or encrypted, which PyTorch's are not`);
    }
    try {
      const { fileDataStart } = await this.zip.readLocalFileHeaderPromise(entry, { minimal: true });
      if (fileDataStart + entry.compressedSize > this.bytes.length) throw cutOff();
      const content = this.bytes.subarray(fileDataStart, fileDataStart + entry.compressedSize);
      // 0 where PyTorch was told to leave the checksums out (`set_crc32_options`).
      if (entry.crc32 !== 0 && crc32(content) !== entry.crc32) throw refused(`${quoted(name)} is damaged: its checksum is another than the archive says`);
      return content;
    } catch (error) {
      throw damagedArchive(error);
    }
  }
}

function damagedArchive(error: unknown): unknown {
  return error instanceof ThawError ? error : refused(`its archive is damaged (${error instanceof Error ? quoted(error.message) : 'for an unknown reason'})`);
}

/** The tensors of a pickle, by name, each over bytes of its own. `dataOf` gives a storage's numbers, at least as many as it has. */
function readTensors(root: Value, fileBytes: number, dataOf: (storage: Storage) => Uint8Array | undefined): StateDict {
  const tensors = stateDictIn(root);
  // Tensors may share a storage; a file whose tensors are far larger than itself is a bomb.
  let budget = 2 * fileBytes;
  const state: StateDict = new Map();
  for (const [name, tensor] of tensors) {
    budget -= tensor.elements * ELEMENT_BYTES[tensor.storage.dtype];
    if (budget < 0) throw refused('its tensors are larger than its data');
    const data = dataOf(tensor.storage);
    if (data === undefined) throw refused(`the data of ${quoted(name)} are missing`);
    state.set(name, storedTensor(tensor.storage.dtype, tensor.shape, gather(data, tensor)));
  }
  return state;
}

function storagesOf(tensors: ReadonlyMap<string, TensorReference>): Set<Storage> {
  return new Set([...tensors.values()].map(({ storage }) => storage));
}

/** The dictionary of tensors that a checkpoint is, or holds under a name that training scripts use. */
function stateDictIn(root: Value): ReadonlyMap<string, TensorReference> {
  if (!(root instanceof Dictionary)) throw refused('it holds no dictionary of tensors');
  const nested = STATE_DICT_KEYS.map((key) => root.entries.get(key)).find((value) => value instanceof Dictionary);
  const dictionary = nested instanceof Dictionary ? nested : root;
  const tensors = new Map<string, TensorReference>();
  for (const [name, value] of dictionary.entries) {
    if (typeof name !== 'string') throw refused('it holds something other than named tensors');
    if (!(value instanceof TensorReference)) throw refused(`it holds something other than named tensors: ${quoted(name)}`);
    tensors.set(name, value);
  }
  return tensors;
}
