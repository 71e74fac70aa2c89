// Which words mattered, by occlusion (Zeiler and Fergus 2014, arXiv:1311.2901): each word is left out once.

const PART = "[\\p{L}\\p{N}_]+"; // Python's \w
const WORD = new RegExp(`${PART}(?:['\u2019-]${PART})*`, "gu"); // with an apostrophe or hyphen between its parts

/** {label, score, words: [{start, end, weight}]}: a weight is by how much the label becomes less probable without. */
export async function explain(engine, text) {
  const words = [...text.matchAll(WORD)].map((found) => ({ begin: found.index, end: found.index + found[0].length }));
  const without = words.map(({ begin, end }) => text.slice(0, begin) + text.slice(end));
  if (!words.length || !without.every((rest) => rest.trim())) {
    throw new Error("the text must have two words at least, since each is left out once");
  }
  const [whole, ...others] = await engine.predict([text, ...without]);
  const index = engine.labels.indexOf(whole.label), score = whole.probabilities[index];
  const place = (units) => [...text.slice(0, units)].length; // in code points
  return {
    label: whole.label,
    score,
    words: words.map(({ begin, end }, number) => ({
      start: place(begin),
      end: place(end),
      weight: score - others[number].probabilities[index],
    })),
  };
}
