// A provider of tokens: the npm package oidc-provider, with its own pages for login and consent, where any login is good. It wants PKCE,
// replaces refresh tokens at each use and revokes all of a consent where an old one comes again. Its access tokens are signed (JWT) and
// long, as Microsoft's are. It prints `ready PORT`, then each request. All that it knows is in memory.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

// The key of the tokens; its public half is for the relay. One that node 20 has made itself could hang it: a garbage collection while such
// a key is exported waits for the export.
const pem = readFileSync('tokens-key.pem');
writeFileSync('tokens.pem', createPublicKey(pem).export({ type: 'spki', format: 'pem' }));
const key = { ...createPrivateKey(pem).export({ format: 'jwk' }), kid: 'key', alg: 'RS256', use: 'sig' };

const year = 365 * 86400;
const configuration = {
  jwks: { keys: [key] },
  clients: [
    {
      client_id: 'public',
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/'], // with any port, RFC 8252 section 7.3
    },
    {
      client_id: 'app',
      client_secret: 's3cret+/= %&',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    },
  ],
  scopes: ['openid', 'offline_access', 'smtp'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (ctx, token) => ({ mail: token.accountId ?? 'me@example.org', pad: 'x'.repeat(1500) }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:smtp',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'smtp',
        audience: 'smtp',
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  ttl: {
    AccessToken: 3600,
    AuthorizationCode: 60,
    ClientCredentials: 3600,
    DeviceCode: 600,
    Grant: year,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: year,
    Session: 3600,
  },
  cookies: { keys: ['of a test'] },
};

const server = createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') });
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`https://127.0.0.1:${port}`, configuration);
  const refused = (ctx, error) => console.log('refused', error.message, error.error_description ?? error.stack);
  for (const place of ['authorization', 'device_authorization', 'grant', 'server']) {
    provider.on(place === 'server' ? 'server_error' : `${place}.error`, refused);
  }
  const answer = provider.callback();
  server.on('request', (request, response) => {
    console.log(request.method, request.url.split('?')[0]);
    answer(request, response);
  });
  console.log('ready', port);
});
