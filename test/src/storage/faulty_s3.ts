/** Stands before an S3 server, or for one, and answers some requests otherwise. */
import {
  createServer,
  request as send,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { TestContext } from 'node:test';

export interface Fault {
  status: number;
  /** Code in the error's XML; without it the body is empty. */
  code?: string;
  message?: string;
  /** More of the XML. */
  xml?: string;
  headers?: Record<string, string>;
}

/**
 * What becomes of a request: passed on, answered by an error, never answered, answered with the
 * first bytes only, or cut off after them.
 */
export type Fate = 'pass' | 'silence' | 'stall' | 'cut' | Fault;

export interface FaultyS3 {
  url: string;
  /** Requests that came. */
  readonly requests: IncomingMessage[];
}

/** `fate` is asked for each request, which are counted from 0. */
export async function startFaultyS3(
  t: TestContext,
  fate: (request: IncomingMessage, count: number) => Fate,
  target?: string,
): Promise<FaultyS3> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    const decided = fate(request, requests.length - 1);
    if (decided === 'silence') return;
    if (typeof decided !== 'string') {
      // Read first: a socket that closes on unread bytes looks broken to the client.
      request.resume().on('end', () => answer(response, decided));
      return;
    }
    passOn(request, response, target ?? '', decided);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { url: `http://127.0.0.1:${address.port}`, requests };
}

function answer(response: ServerResponse, { status, code, message, xml, headers }: Fault): void {
  response.writeHead(status, headers);
  if (code === undefined) response.end();
  else {
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message ?? code}</Message>${xml ?? ''}<RequestId>1</RequestId></Error>`,
    );
  }
}

/** With the client's own Host, which is signed. */
function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
  fate: 'pass' | 'stall' | 'cut',
): void {
  const { hostname, port } = new URL(target);
  const onward = send(
    { hostname, port, path: request.url, method: request.method, headers: request.headers },
    (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      if (fate === 'pass') return void reply.pipe(response);
      reply.once('data', (data: Buffer) => {
        response.write(data.subarray(0, 10), () => {
          if (fate === 'cut') response.destroy();
        });
        reply.resume();
      });
    },
  );
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}
