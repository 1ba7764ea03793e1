// The page's words in its two languages. An element with data-t="name" is given the word of that name.
const WORDS = {
  en: {
    skip: "Skip to the content", search: "Search", operations: "Operations", api: "API", key: "API key", use: "Use it",
    collection: "Collection", query: "What are you looking for?", "query-vector": "Id of a document, or a vector as JSON", "query-picture": "Id of a document; or choose a picture",
    "picture-choose": "Choose a picture to search with, or drop one here", "picture-other": "Another picture", "picture-clear": "Without the picture",
    "picture-of": "Picture of {id}", "picture-unreadable": "{name} cannot be read as a picture", recall: "Recall",
    mode: "By", "mode-dense": "meaning", "mode-keyword": "words", "mode-hybrid": "meaning and words",
    own: "the collection's", exact: "exact", "add-condition": "Add a condition", plan: "How it was searched", jobs: "Jobs",
    "no-collections": "There is no collection yet. Make one with: nearfield create", field: "Field", operator: "Condition", value: "Value",
    remove: "Remove", yes: "yes", no: "no", found: "{n} of {k} found", fewer: "fewer match", incomplete: "not all that match were found; ask for more recall",
    more: "More like this", less: "Less like this", unlike: "not like {id}", "a-vector": "the vector",
    worth: "Its score is above that of {n} % of {pairs} unrelated pairs.", why: "Why this rank?", whole: "Whole text", passage: "Passage {n} {name}", like: "Like {id}", searching: "Searching…", network: "network and browser",
    read: "reading", queue: "waiting", embed: "embedding", searchstage: "searching", encode: "writing", seconds: "{n} ms in all",
    documents: "Documents", requests: "Requests answered", p50: "Search P50", p99: "Search P99", resident: "Memory", ready: "Ready", waiting: "{count} collections wait",
    bytes: "Bytes", disk: "documents and vectors on disk", "index-disk": "indexes on disk", "index-memory": "indexes in memory", live: "Live recall",
    target: "Target", samples: "samples", unmeasured: "not measured yet", filtered: "with filters", unfiltered: "without filters", segment: "Segment",
    rows: "Rows", index: "Index", curve: "Recall against milliseconds (dashed: its lower bound; orange: the target)", scan: "exact scan",
    tune: "Find the best index", minutes: "Minutes", start: "Start", rebuild: "Build indexes anew", optimize: "Seal and index", apply: "build the best at once",
    "no-jobs": "No jobs yet.", job: "Job", state: "State", progress: "Progress", cancel: "Cancel", front: "Recall against searches a second: what was measured",
    dead: "Deleted, not purged", pending: "Not in a segment yet", "not-number": "“{value}” is not a number", margin: "controller adds {n}",
    "bounded": "at least, from sampled rows", running: "running", done: "done", failed: "failed", cancelled: "cancelled", "state-waiting": "waiting",
    best: "Best", why_failed: "It went wrong", unreachable: "The server does not answer.", recallaxis: "recall@{k}", msaxis: "ms", qpsaxis: "searches a second",
    "add-files": "Add files", "drop-files": "Choose files, or drop them here: text, Markdown, HTML, PDF, Word, tables, mail", "file-waiting": "{file}: waits",
    "file-sending": "{file}: is read…", "file-written": "{n} written to {collection}", "file-unchanged": "{n} there already, unchanged", "file-deleted": "{n} deleted that are gone from it",
    "file-failed": "{n} not read ({why})", "file-empty": "empty",
    ask: "Answer", asking: "{model} is asked…", sources: "Sources", "no-source": "No passage has the number {n}: what is said there comes from nowhere",
    uncited: "The answer cites no passage", "answer-cut": "The answer was cut", "nothing-to-answer": "Nothing was found to answer from",
    tiers: "Where segments are kept", memory: "memory", unlimited: "{used}, not limited", "used-of": "{used} of {budget}", lost: "lost: restart to use it again",
    moving: "Moving {what}", alarm: "Alarm: searches go by the processor", hot: "hot", warm: "warm", cold: "cold", "scanned-by": "scanned by {devices}",
    kept: "Keep its segments", "as-asked": "as they are asked", "pin-hot": "hot: on a card", "pin-warm": "warm: in memory", "pin-cold": "cold: in files", pin: "Keep",
  },
  zh: {
    skip: "跳到内容", search: "搜索", operations: "运维", api: "接口", key: "API 密钥", use: "使用",
    collection: "集合", query: "想找什么？", "query-vector": "文档编号，或 JSON 形式的向量", "query-picture": "文档编号；或选择一张图片",
    "picture-choose": "选择一张图片来搜索，或拖放到此处", "picture-other": "换一张图片", "picture-clear": "不用图片",
    "picture-of": "{id} 的图片", "picture-unreadable": "无法将 {name} 读作图片", recall: "召回率",
    mode: "按", "mode-dense": "语义", "mode-keyword": "词语", "mode-hybrid": "语义和词语",
    own: "集合自身的目标", exact: "精确", "add-condition": "添加条件", plan: "搜索过程", jobs: "任务",
    "no-collections": "还没有集合。用 nearfield create 创建一个。", field: "字段", operator: "条件", value: "值",
    remove: "移除", yes: "是", no: "否", found: "找到 {n} 个，共要 {k} 个", fewer: "符合条件的不足", incomplete: "未能找全符合条件的文档；请提高召回率",
    more: "更多类似", less: "减少类似", unlike: "不像 {id}", "a-vector": "该向量",
    worth: "其得分高于 {pairs} 对无关配对中的 {n} %。", why: "为何排在这里？", whole: "全文", passage: "第 {n} 段 {name}", like: "类似 {id}", searching: "搜索中…", network: "网络与浏览器",
    read: "读取", queue: "排队", embed: "嵌入", searchstage: "搜索", encode: "输出", seconds: "共 {n} 毫秒",
    documents: "文档", requests: "已答请求", p50: "搜索 P50", p99: "搜索 P99", resident: "内存", ready: "就绪", waiting: "{count} 个集合等待中",
    bytes: "字节", disk: "磁盘上的文档与向量", "index-disk": "磁盘上的索引", "index-memory": "内存中的索引", live: "实时召回率",
    target: "目标", samples: "个样本", unmeasured: "尚未测量", filtered: "带过滤", unfiltered: "不带过滤", segment: "段",
    rows: "行", index: "索引", curve: "召回率与毫秒（虚线：下界；橙线：目标）", scan: "精确扫描",
    tune: "寻找最佳索引", minutes: "分钟", start: "开始", rebuild: "重建索引", optimize: "封存并建索引", apply: "立即建最佳者",
    "no-jobs": "还没有任务。", job: "任务", state: "状态", progress: "进展", cancel: "取消", front: "召回率与每秒搜索次数：测量结果",
    dead: "已删除、未清除", pending: "尚未入段", "not-number": "“{value}”不是数字", margin: "控制器加 {n}",
    "bounded": "至少，由抽样行估计", running: "进行中", done: "完成", failed: "失败", cancelled: "已取消", "state-waiting": "等待",
    best: "最佳", why_failed: "出错了", unreachable: "服务器没有应答。", recallaxis: "recall@{k}", msaxis: "毫秒", qpsaxis: "每秒搜索次数",
    "add-files": "添加文件", "drop-files": "选择文件，或拖放到此处：文本、Markdown、HTML、PDF、Word、表格、邮件", "file-waiting": "{file}：等待中",
    "file-sending": "{file}：正在读取…", "file-written": "{n} 篇写入 {collection}", "file-unchanged": "{n} 篇已有且未变", "file-deleted": "删除其中已不存在的 {n} 篇",
    "file-failed": "{n} 篇未能读取（{why}）", "file-empty": "空文件",
    ask: "回答", asking: "正在询问 {model}…", sources: "来源", "no-source": "没有编号为 {n} 的段落：该处说法没有出处",
    uncited: "回答没有引用任何段落", "answer-cut": "回答被截断", "nothing-to-answer": "没有找到可据以回答的内容",
    tiers: "段的存放位置", memory: "内存", unlimited: "{used}，不设上限", "used-of": "{used}，上限 {budget}", lost: "已失效：重启后可再用",
    moving: "正在移动：{what}", alarm: "警报：搜索改由处理器完成", hot: "热", warm: "温", cold: "冷", "scanned-by": "由 {devices} 扫描",
    kept: "其段存放于", "as-asked": "按使用频率", "pin-hot": "热：显卡上", "pin-warm": "温：内存中", "pin-cold": "冷：文件中", pin: "固定",
  },
};
let language = remembered() || ((navigator.language || "en").startsWith("zh") ? "zh" : "en");

function remembered() {
  const found = localStorage.getItem("nearfield.language");
  return found in WORDS ? found : null;
}

export function t(name, values = {}) {
  const word = WORDS[language][name] ?? WORDS.en[name] ?? name;
  return word.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

export const number = (value, digits = 0) =>
  value == null ? "–" : value.toLocaleString(language === "zh" ? "zh-CN" : "en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (bytes >= 1000 && i < units.length - 1) { bytes /= 1000; i += 1; }
  return `${number(bytes, i && bytes < 100 ? 1 : 0)} ${units[i]}`;
}

export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  const button = document.getElementById("language");
  const [code, name] = language === "zh" ? ["en", "English"] : ["zh", "中文"];
  Object.assign(button, { textContent: name, lang: code });
  button.setAttribute("aria-label", name);
}

export function otherLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("nearfield.language", language);
  translate();
}

export { WORDS };
