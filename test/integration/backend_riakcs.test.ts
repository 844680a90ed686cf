import { backendSuite } from '../harness/backend_suite.ts';
import { RiakCsServer } from '../services/riak_cs_server.ts';

const bucket = 'skerry';
const keys = { accessKey: 'AKRIAK', secretKey: 'a secret/with+signs=' };

backendSuite('Riak CS', null, async () => {
  const server = await RiakCsServer.start({ ...keys, bucket, listDelayMilliseconds: 1000 });
  return {
    driver: 'riak-cs',
    settings: (prefix) => ({
      endpoint: server.endpoint,
      bucket,
      prefix,
      'access-key': keys.accessKey,
      'secret-key': keys.secretKey,
    }),
    pause: async () => server.pause(),
    goOn: async () => server.goOn(),
    stop: () => server.stop(),
  };
});
