// An S3 server in memory, in a process of its own. Prints its address; keeps what it is given.
import { RangeServer } from '../../dist/test/src/storage/range_server.js';

process.send({ url: await new RangeServer().listen() });
process.on('disconnect', () => process.exit());
