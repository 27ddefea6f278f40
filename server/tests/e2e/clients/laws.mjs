// What a client of others is held to. Prints the laws that held, and those that did not with what was seen instead, as JSON.
export async function hold(laws) {
  const [held, failures] = [[], []];
  for (const [name, law] of Object.entries(laws)) {
    try {
      await law();
      held.push(name);
    } catch (error) {
      const seen = `${error?.stack ?? JSON.stringify(error)}`.split("\n").filter((text) => !text.includes("node:"));
      failures.push({ law: name, seen });
    }
  }
  console.log(JSON.stringify({ held, failures }));
  process.exit(0);
}

// Waits for something that comes by itself, and says what it waited for in vain.
export function within(what, promise, patience = 20_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${patience} ms`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asks again and again until something is so, and gives it.
export async function until(what, look, patience = 60_000) {
  const latest = Date.now() + patience;
  while (Date.now() < latest) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: not within ${patience} ms`);
}

// `fetch` that notes what was asked of the server, and how it was answered.
export function noting(asked) {
  return async (url, init = {}) => {
    const answer = await fetch(url, init);
    const { searchParams } = new URL(url);
    const said = init.body ? JSON.parse(init.body) : Object.fromEntries(searchParams);
    asked.push({ method: init.method ?? "GET", ...said, status: answer.status });
    return answer;
  };
}
