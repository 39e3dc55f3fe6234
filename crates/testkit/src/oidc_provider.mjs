// A provider of OpenID Connect, as the package `oidc-provider` is one, for people whom a test makes up.
//
//   node oidc_provider.mjs FOLDER PORT [thin]
//
// FOLDER is where the package is installed. Whoever signs in is whom `login_hint`, or the field of the
// form, says: claims as JSON, or a name. With `thin` an ID token says no more than who it is, as the
// standard has it, and the rest is to be asked for. Its keys are fresh with each start.
import {generateKeyPairSync} from 'node:crypto';
import {createServer} from 'node:http';
import {pathToFileURL} from 'node:url';

const [folder, port, thin] = process.argv.slice(2);
const main = `${folder}/node_modules/oidc-provider/lib/index.js`;
const {Provider} = await import(pathToFileURL(main));

const people = new Map();
const meet = (text) => {
  let claims;
  try {
    claims = JSON.parse(text);
  } catch {
    claims = {sub: text, email: text, email_verified: true};
  }
  people.set(claims.sub, claims);
  return claims.sub;
};

const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({format: 'jwk'}), use: 'sig', alg,
});

const client = (client_id, more) => ({
  client_id,
  // Where a native application listens is told when it asks: any port of this machine.
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/app/sign-in/callback'],
  ...more,
});

const server = createServer();
await new Promise((ready) => server.listen(Number(port), '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    client('tryon', {client_secret: 'the secret: of tryon+%'}),
    client('tryon-public', {
      token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256',
    }),
  ],
  jwks: {
    keys: [key('rsa', {modulusLength: 2048}, 'RS256'), key('ec', {namedCurve: 'P-256'}, 'ES256')],
  },
  enabledJWA: {idTokenSigningAlgValues: ['RS256', 'ES256']},
  pkce: {required: () => true},
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: {email: ['email', 'email_verified'], groups: ['groups']},
  conformIdTokenClaims: thin === 'thin',
  cookies: {keys: ['a key of cookies']},
  features: {devInteractions: {enabled: false}},
  interactions: {url: (context, interaction) => `/interaction/${interaction.uid}`},
  findAccount: (context, id) => ({accountId: id, claims: () => people.get(id)}),
  // What is asked for is granted unasked.
  async loadExistingGrant(context) {
    const {client: {clientId}, session: {accountId}, requestParamScopes} = context.oidc;
    const grant = new context.oidc.provider.Grant({clientId, accountId});
    grant.addOIDCScope([...requestParamScopes].join(' '));
    await grant.save();
    return grant;
  },
  renderError(context, out) {
    context.type = 'text/plain';
    context.body = JSON.stringify(out);
  },
});

const page = `<!doctype html><html lang="en"><title>Provider</title><link rel="icon" href="data:,">
<h1>Who are you?</h1>
<form method="post"><label>Name <input id="who" name="who"></label>
<button id="go">Sign in</button> <button name="no" value="on">No</button></form>`;

async function interact(request, response) {
  const {params, prompt} = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(
    request, response, result, {mergeWithLastSubmission: false},
  );
  // Who it is, is known from before.
  if (prompt.name === 'consent') {
    await finish({consent: {}});
    return;
  }
  let answer = new URLSearchParams({who: params.login_hint ?? ''});
  if (request.method === 'POST') {
    const chunks = await request.toArray();
    answer = new URLSearchParams(Buffer.concat(chunks).toString());
  } else if (!params.login_hint) {
    response.writeHead(200, {'content-type': 'text/html; charset=utf-8'}).end(page);
    return;
  }
  await finish(answer.has('no')
    ? {error: 'access_denied', error_description: 'they did not want to'}
    : {login: {accountId: meet(answer.get('who'))}, consent: {}});
}

const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    answer(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    response.writeHead(500, {'content-type': 'text/plain'}).end(String(error));
  });
});
console.log(`issuer ${issuer}`);
