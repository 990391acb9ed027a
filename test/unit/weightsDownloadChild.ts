// A download in a process of its own, which a test kills: `URL FOLDER BYTES`.
import path from 'node:path';
import { downloadFile } from '../../src/network/weights/download.js';

const [url = '', folder = '', bytes = '0'] = process.argv.slice(2);
void downloadFile(url, { target: path.join(folder, 'w.pth'), bytes: Number(bytes), bytesRounded: 0, accepts: () => true });
