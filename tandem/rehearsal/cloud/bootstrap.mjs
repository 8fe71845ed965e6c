// Be Lambda's Node runtime for one event: `bootstrap.mjs CODE HANDLER ANSWER`, the event on standard input.
import http from 'node:http';
import https from 'node:https';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [code, handler, answer] = process.argv.slice(2);
const [stem, name] = [handler.slice(0, handler.lastIndexOf('.')), handler.slice(handler.lastIndexOf('.') + 1)];
const started = Date.now();
const context = {
  functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
  invokedFunctionArn: process.env.TANDEM_FUNCTION_ARN,
  memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  awsRequestId: crypto.randomUUID(),
  logGroupName: `/aws/lambda/${process.env.AWS_LAMBDA_FUNCTION_NAME}`,
  logStreamName: String(started),
  getRemainingTimeInMillis: () => 1000 * Number(process.env.AWS_LAMBDA_FUNCTION_TIMEOUT) - (Date.now() - started),
};
// a response URL is HTTPS on AWS, and CDK's handlers take only its host and path: lead them to the embedded AWS
const endpoint = new URL(process.env.AWS_ENDPOINT_URL);
const request = https.request;
https.request = (options, ...rest) =>
  options.hostname === endpoint.hostname
    ? http.request({ ...options, port: endpoint.port }, ...rest)
    : request(options, ...rest);
let result;
try {
  const file = ['.js', '.mjs', '.cjs'].map((end) => join(code, stem + end)).find(existsSync);
  if (!file) throw new Error(`there is no module ${stem} in the function's code`);
  const module = await import(pathToFileURL(file));
  const run = module[name] ?? module.default?.[name];
  const payload = await run(JSON.parse(readFileSync(0, 'utf8')), context);
  result = { ok: true, payload: payload ?? null };
} catch (error) {
  console.error(error);
  result = { ok: false, payload: { errorType: error.name, errorMessage: error.message } };
}
writeFileSync(answer, JSON.stringify(result));
process.exit(0);
