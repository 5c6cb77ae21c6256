"use strict";
// What the page computes: best splits of budgets with intervals, from a law's parameters and their draws. The same
// formulas as isoloss.laws and isoloss.data_dependence, in the same order of parameters; a test holds them together.
const Formulas = (() => {
  const LN6 = Math.log(6);
  const LEVEL = 0.95;
  const ROUNDING = 1e-12;
  const GRID = 129;
  const NEWTON_STEPS = 60;
  const SETTLED = 1e-12;
  const LARGEST_EXPONENT = 5;

  const logAddExp = (a, b) => (a > b ? a : b) + Math.log1p(Math.exp(-Math.abs(a - b)));

  // E, A, B, alpha, beta
  const bestOfTerms = (v, logFlops, lean) =>
    v[1] > 0 && v[2] > 0 && v[3] > 0 && v[4] > 0 ? (lean + v[4] * (logFlops - LN6)) / (v[3] + v[4]) : NaN;
  const chinchillaBest = (v, logFlops) => bestOfTerms(v, logFlops, Math.log(v[3] * v[1]) - Math.log(v[4] * v[2]));
  const terms = (v, logN, logD) => v[1] * Math.exp(-v[3] * logN) + v[2] * Math.exp(-v[4] * logD);

  const chinchilla = { logOptimum: chinchillaBest, loss: (v, logN, logD) => v[0] + terms(v, logN, logD) };

  // E, A, B, alpha, beta, gamma
  const coupled = {
    logOptimum: (v, logFlops) =>
      bestOfTerms(v, logFlops, Math.log(v[1]) - Math.log(v[2]) + v[5] * (Math.log(v[3]) - Math.log(v[4]))),
    loss: (v, logN, logD) =>
      v[0] + Math.exp(v[5] * logAddExp((Math.log(v[1]) - v[3] * logN) / v[5], (Math.log(v[2]) - v[4] * logD) / v[5])),
  };

  // E, a, b, alpha, beta, L0
  const ceiling = {
    logOptimum: chinchillaBest,
    loss: (v, logN, logD) => v[0] + (v[5] - v[0]) * (1 - 1 / (1 + terms(v, logN, logD))),
  };

  // E, A, B, alpha, beta, R_D, R_N: with text to spare nothing repeats, and parameters beyond the best for it decay.
  const worth = (logRatio, life) =>
    logRatio <= 0 ? logRatio : Math.log1p(-life * Math.expm1(-Math.expm1(logRatio) / life));
  const repeated = {
    logOptimum: chinchillaBest,
    loss: (v, logN, logD) => {
      const best = (Math.log(v[3] * v[1]) - Math.log(v[4] * v[2]) + v[4] * logD) / v[3];
      return v[0] + terms(v, best + worth(logN - best, v[6]), logD);
    },
  };

  // Nc, Dc, alpha_N, alpha_D
  const kaplan = {
    logOptimum: (v, logFlops) => {
      const r = v[2] / v[3];
      return (r * Math.log(v[0]) + Math.log(r) - Math.log(v[1]) + logFlops - LN6) / (1 + r);
    },
    loss: (v, logN, logD) =>
      Math.exp(v[3] * logAddExp((v[2] / v[3]) * (Math.log(v[0]) - logN), Math.log(v[1]) - logD)),
  };

  // a3, b3, gamma, a2, b2, beta, a1, b1, alpha
  const farseerParts = (v, logN, logD) => {
    const p3 = v[0] * Math.exp(v[2] * logN);
    const p2 = v[3] * Math.exp(v[5] * logN);
    const p1 = v[6] * Math.exp(v[8] * logN);
    const exponent = Math.exp(p1 + v[7]);
    return { p3, p2, p1, exponent, ofSize: Math.exp(p3 + v[1]), ofData: Math.exp(p2 + v[4] - exponent * logD) };
  };
  const farseerLoss = (v, logN, logD) => {
    const parts = farseerParts(v, logN, logD);
    return parts.ofSize + parts.ofData;
  };
  // dL/d ln N at fixed N · D, and its own derivative.
  const farseerSlope = (v, logN, logD) => {
    const { p3, p2, p1, exponent, ofSize, ofData } = farseerParts(v, logN, logD);
    const [gamma, beta, alpha] = [v[2], v[5], v[8]];
    const first = exponent * alpha * p1;
    const second = first * (alpha + alpha * p1);
    const u1 = beta * p2 - first * logD + exponent;
    const u2 = beta * beta * p2 - second * logD + 2 * first;
    return [
      ofSize * gamma * p3 + ofData * u1,
      ofSize * gamma * gamma * (p3 + p3 * p3) + ofData * (u2 + u1 * u1),
    ];
  };
  // The lowest grid point of the deepest valley between one parameter and one token, or NaN.
  const deepestValley = (loss, v, product) => {
    const at = (i) => {
      const found = loss(v, (product * i) / (GRID - 1), product - (product * i) / (GRID - 1));
      return Number.isFinite(found) ? found : Infinity;
    };
    let [before, here, place, least] = [at(0), at(1), NaN, Infinity];
    for (let i = 1; i < GRID - 1; i++) {
      const after = at(i + 1);
      if (here * (1 + ROUNDING) < Math.min(before, after) && here < least) [place, least] = [i, here];
      [before, here] = [here, after];
    }
    return (product * place) / (GRID - 1);
  };
  const farseer = {
    logOptimum: (v, logFlops) => {
      const product = logFlops - LN6;
      if (!(product > 0)) return NaN;
      const half = product / (GRID - 1);
      let middle = deepestValley(farseerLoss, v, product);
      let [low, high] = [middle - half, middle + half];
      for (let k = 0; k < NEWTON_STEPS && Number.isFinite(middle); k++) {
        const [rising, curvature] = farseerSlope(v, middle, product - middle);
        const step = -rising / curvature;
        if (rising < 0) low = middle;
        else high = middle;
        const trial = middle + step;
        const settled = Math.abs(step) <= SETTLED * Math.abs(middle);
        if (settled || (curvature > 0 && trial > low && trial < high)) middle = trial;
        else middle = Number.isFinite(rising) ? (low + high) / 2 : NaN;
        if (settled) break;
      }
      return middle;
    },
    loss: farseerLoss,
  };

  const forms = { chinchilla, coupled, ceiling, repeated, kaplan, farseer };

  // A data-dependent law at one measure: Chinchilla's parameters, the law's own first, then one set for every draw.
  const BEND = [0.01, 0.01, 0.01, 0.005, 0.005];
  const atMeasure = (joint, measure) => {
    const { functions, draws, scatter, logarithmic, origin } = joint;
    const count = draws.length / 10;
    const found = new Float64Array(5 * (count + 1));
    const theta = new Float64Array(5);
    for (let row = 0; row <= count; row++) {
      for (let i = 0; i < 5; i++) {
        const lines = row ? draws : functions;
        const place = (row ? 10 * (row - 1) : 0) + 2 * i;
        const eta = lines[place] + lines[place + 1] * measure + (row ? scatter[5 * (row - 1) + i] : 0);
        theta[i] = logarithmic[i] ? Math.exp(Math.min(eta, 50)) : BEND[i] * logAddExp(0, eta / BEND[i]);
        if (row && i > 2) theta[i] = Math.min(theta[i], LARGEST_EXPONENT);
      }
      found.set(theta, 5 * row);
      found[5 * row + 1] = theta[1] * Math.exp(theta[3] * origin[0]);
      found[5 * row + 2] = theta[2] * Math.exp(theta[4] * origin[1]);
    }
    return found;
  };

  const quantile = (sorted, q) => {
    const at = (sorted.length - 1) * q;
    const below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
  };

  // The first of the values with the interval of the others. None where too many draws lack the quantity.
  const estimate = (values) => {
    const value = values[0];
    const finite = values.subarray(1).filter(Number.isFinite).sort();
    const missing = values.length - 1 - finite.length;
    if (finite.length < 2 || missing > ((1 - LEVEL) / 2) * (values.length - 1)) {
      return { value, low: null, high: null };
    }
    return { value, low: quantile(finite, (1 - LEVEL) / 2), high: quantile(finite, (1 + LEVEL) / 2) };
  };

  const exponential = ({ value, low, high }) => ({
    value: Math.exp(value),
    low: low === null ? null : Math.exp(low),
    high: high === null ? null : Math.exp(high),
  });

  const beyond = (value, [low, high]) => {
    const factor = Math.max(value / high, low / value, 1);
    return factor < 1 + 1e-9 ? 1 : factor;
  };

  // How far a split lies outside the ranges of the fitted runs: 1 inside, 10 ten times beyond an edge.
  const extrapolation = (law, columns) =>
    Math.max(1, ...Object.keys(columns).map((name) => (law.domain[name] ? beyond(columns[name], law.domain[name]) : 1)));

  // ln N* and ln(D*/N*) of the law and of every draw.
  const optima = (law, flops) => {
    const form = forms[law.form];
    const width = law.width;
    const logFlops = Math.log(flops * law.perToken);
    const logParams = new Float64Array(law.rows.length / width);
    for (let row = 0; row < logParams.length; row++) {
      const found = form.logOptimum(law.rows.subarray(width * row, width * (row + 1)), logFlops);
      logParams[row] = Number.isFinite(found) ? found : NaN;
    }
    return { logParams, logRatio: logParams.map((x) => logFlops - LN6 - 2 * x) };
  };

  // The best split of a budget: parameters, tokens, ratio and loss with intervals; null where the law has none.
  const split = (law, flops) => {
    const { logParams, logRatio } = optima(law, flops);
    if (Number.isNaN(logParams[0])) return null;
    const form = forms[law.form];
    const width = law.width;
    const loss = logParams.map((x, row) =>
      form.loss(law.rows.subarray(width * row, width * (row + 1)), x, x + logRatio[row]),
    );
    const found = {
      params: estimate(logParams.map(Math.exp)),
      tokens: estimate(logParams.map((x, row) => Math.exp(x + logRatio[row]))),
      ratio: exponential(estimate(logRatio)),
      loss: estimate(loss),
    };
    const at = { params: found.params.value, tokens: found.tokens.value, flops };
    return { ...found, extrapolation: extrapolation(law, at) };
  };

  // The best size and ratio alone, for curves over many budgets.
  const along = (law, budgets) =>
    budgets.map((flops) => {
      const { logParams, logRatio } = optima(law, flops);
      const at = { params: Math.exp(logParams[0]), tokens: Math.exp(logParams[0] + logRatio[0]), flops };
      return {
        flops,
        params: estimate(logParams.map(Math.exp)),
        ratio: exponential(estimate(logRatio)),
        inside: extrapolation(law, at) === 1,
      };
    });

  // The loss of the law itself at a size on a budget.
  const lossAt = (law, flops, params) => {
    const logN = Math.log(params);
    return forms[law.form].loss(law.rows.subarray(0, law.width), logN, Math.log(flops * law.perToken) - LN6 - logN);
  };

  return { forms: Object.keys(forms), split, along, lossAt, atMeasure };
})();
