/** Pictures of a palette as PNG files. Layout: PNG (Third Edition), sections 5 and 11. */
import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';

export interface IndexedPicture {
  width: number;
  height: number;
  /** A place in the palette for each pixel, row after row from the top. */
  pixels: Uint8Array;
  /** At most 256 colours of red, green and blue, 0 to 255. */
  palette: readonly (readonly [number, number, number])[];
}

const compress = promisify(deflate);
const signature = Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

function chunk(name: string, body: Uint8Array): Buffer {
  const out = Buffer.alloc(body.length + 12);
  out.writeUInt32BE(body.length, 0);
  out.write(name, 4, 'latin1');
  out.set(body, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

/** The file, compressed in zlib's own thread. */
export async function encodePng(picture: IndexedPicture): Promise<Uint8Array> {
  const { width, height, pixels, palette } = picture;
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // 8 bits a pixel, by a palette; deflate, adaptive filters, not interlaced.
  head.set([8, 3, 0, 0, 0], 8);
  // Each row behind the number of its filter: 0, none, which is best for palettes.
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('PLTE', Uint8Array.from(palette.flat())),
    chunk('IDAT', await compress(rows, { level: 9 })),
    chunk('IEND', new Uint8Array(0)),
  ]);
}
