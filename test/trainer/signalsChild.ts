// Computes one matrix product again and again while signals arrive: signalsChild.cjs PRODUCTS. Says `ready`, then what it saw, as JSON.
import type { Rank } from '@tensorflow/tfjs';
import { loadEngine } from '../../src/engine/load.js';

/** Between two looks at what was computed. */
const AT_ONCE = 30;

async function main(products: number): Promise<void> {
  const { tf } = await loadEngine({ threads: 2 });
  let signals = 0;
  process.on('SIGUSR2', () => { signals++; });
  const a = tf.randomUniform<Rank.R2>([784, 1152], -1, 1, 'float32', 1);
  const b = tf.randomUniform<Rank.R2>([1152, 192], -1, 1, 'float32', 2);
  const product = (): Float32Array => {
    const c = tf.matMul(a, b);
    const values = c.dataSync<'float32'>();
    c.dispose();
    return values;
  };
  const expected = product();
  let different = 0;
  process.stdout.write('ready\n');
  for (let done = 0; done < products; done += AT_ONCE) {
    for (let i = 1; i < AT_ONCE; i++) tf.matMul(a, b).dispose();
    if (!product().every((value, index) => value === expected[index])) different++;
    await new Promise((resolve) => { setImmediate(resolve); }); // signals are counted here
  }
  process.stdout.write(`${JSON.stringify({ different, signals })}\n`);
  process.exit(0);
}

void main(Number(process.argv[2]));
