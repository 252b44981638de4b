// Every playlist of a programme as npm hls-parser reads it, strictly: a second opinion that nobody here wrote.
import * as parser from 'hls-parser';

const { parse, setOptions } = parser.default ?? parser;
setOptions({ strictMode: true });

/** Parses `text`; throws where hls-parser finds something wrong. */
export const parsed = (text) => parse(text);

/** Fetches and parses the multivariant playlist and all that it names, with a delta update of each. Answers {uri: playlist}. */
export async function parseAll(url) {
  const get = async (at) => {
    const text = await (await fetch(at)).text();
    try {
      return parse(text);
    } catch (error) {
      throw new Error(`${at}: ${error.message}\n${text}`);
    }
  };
  const multivariant = await get(url);
  const found = { multivariant };
  const variants = multivariant.variants.flatMap((variant) => [variant, ...variant.audio, ...variant.subtitles]);
  for (const uri of new Set(variants.map((one) => one.uri))) {
    const at = new URL(uri, url);
    found[at.pathname.split('/').at(-1)] = await get(at.href);
    at.searchParams.set('_HLS_skip', 'YES');
    await get(at.href);
  }
  return found;
}
