import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { normalizeText } from '../../../../lib/text/normalize/normalize.js';
import { markOf } from '../../../../lib/f5/pinyin_marks.js';

/** What each text becomes, by what it is about. */
type Tables = Readonly<Record<string, readonly (readonly [string, string])[]>>;

const ENGLISH: Tables = {
  numbers: [
    ['I have 3 apples and 21 pears.', 'I have three apples and twenty-one pears.'],
    [
      '1,234,567 people',
      'one million two hundred thirty-four thousand five hundred sixty-seven people',
    ],
    ['0.5 or 3.14', 'zero point five or three point one four'],
    [
      'It is -5, (−3) and +7; ±2.',
      'It is minus five, (minus three) and plus seven; plus or minus two.',
    ],
    ['Agent 007', 'Agent zero zero seven'],
    ['Code 12345678901', 'Code one two three four five six seven eight nine zero one'],
    ['version 1.2.3', 'version one point two point three'],
    ['3-4-5', 'three-four-five'],
    ['Wait 5.', 'Wait five.'],
    ['1500 people', 'one thousand five hundred people'],
  ],
  ordinals: [
    ['the 1st, 2nd, 3rd and 21st', 'the first, second, third and twenty-first'],
    ['No. 5, vol. 3, p. 12', 'Number five, volume three, page twelve'],
    ['#1 and #cool', 'number one and hashtag cool'],
  ],
  ranges: [
    ['5-10 people', 'five to ten people'],
    ['pages 10–15', 'pages ten to fifteen'],
    ['10%-20%', 'ten percent to twenty percent'],
    ['$10-$20', 'ten dollars to twenty dollars'],
    ['2019-2020', 'twenty nineteen to twenty twenty'],
    ['a 5-year-old', 'a five-year-old'],
    ['won 3-1', 'won three to one'],
    ['5 - 3 = 2', 'five minus three equals two'],
  ],
  fractions: [
    ['1/2 cup, 3/4 full, 2/3', 'one half cup, three quarters full, two thirds'],
    ['1 1/2 cups', 'one and a half cups'],
    ['2½ and ¾', 'two and a half and three quarters'],
    ['open 24/7', 'open twenty-four seven'],
    ['8/10', 'eight out of ten'],
    ['a ratio of 3:1', 'a ratio of three to one'],
  ],
  money: [
    [
      '$5, $1, $3.50, $0.99',
      'five dollars, one dollar, three dollars and fifty cents, ninety-nine cents',
    ],
    ['$1.01 and £1.01', 'one dollar and one cent and one pound and one penny'],
    ['€1.5 million', 'one point five million euros'],
    ['$5k', 'five thousand dollars'],
    ['£20 or 20€', 'twenty pounds or twenty euros'],
    ['5 EUR', 'five euros'],
    ['$1,000.00', 'one thousand dollars'],
    ['-$5', 'minus five dollars'],
  ],
  percent: [
    ['50% of 3.5%', 'fifty percent of three point five percent'],
    ['-2% or 5 ‰', 'minus two percent or five per mille'],
  ],
  measures: [
    ['60 km/h, 1 kg, 5kg', 'sixty kilometers per hour, one kilogram, five kilograms'],
    ['-5 °C, 70°F', 'minus five degrees Celsius, seventy degrees Fahrenheit'],
    ['16GB and 3.5 m²', 'sixteen gigabytes and three point five square meters'],
    ['6 ft 2', 'six feet two'],
    ['5 A grades, 10 in total', 'five A grades, ten in total'],
    ['5M users, 200k', 'five million users, two hundred thousand'],
    ['1920x1080', 'one thousand nine hundred twenty by one thousand eighty'],
  ],
  dates: [
    ['On 2025-03-04.', 'On March fourth, twenty twenty-five.'],
    ['2025/3/4', 'March fourth, twenty twenty-five'],
    ['3/4/2025', 'March fourth, twenty twenty-five'],
    ['25/12/2024', 'December twenty-fifth, twenty twenty-four'],
    ['12/25/24', 'December twenty-fifth, twenty twenty-four'],
    ['31.12.1999', 'December thirty-first, nineteen ninety-nine'],
    ['May 3rd, 1999', 'May third, nineteen ninety-nine'],
    ['on May 5 we met', 'on May fifth we met'],
    ['Mar. 4 and Dec 25', 'March fourth and December twenty-fifth'],
    ['4 March 2025', 'the fourth of March, twenty twenty-five'],
    ['the 4th of July', 'the fourth of July'],
    ['in May 2024', 'in May twenty twenty-four'],
    ['We may 5 times', 'We may five times'],
    ['2025-13-40', 'twenty twenty-five-thirteen-forty'],
    ['2025-03-04T10:30', 'March fourth, twenty twenty-five ten thirty'],
  ],
  years: [
    ['in 1905, 2005 and 2025', 'in nineteen oh five, two thousand five and twenty twenty-five'],
    ['since 1492', 'since fourteen ninety-two'],
    ['the 1990s and 90s', 'the nineteen nineties and nineties'],
    ['2000 people', 'two thousand people'],
  ],
  times: [
    ['at 10:30 and 10:05', 'at ten thirty and ten oh five'],
    ['10:00', "ten o'clock"],
    ['7pm, 7:15 a.m. today', 'seven P M, seven fifteen A M today'],
    ['At 7:15 a.m.', 'At seven fifteen A M.'],
    ['22:05:10', 'twenty-two oh five and ten seconds'],
    ['10:30-11:30', 'ten thirty to eleven thirty'],
    ['25:99', 'twenty-five to ninety-nine'],
  ],
  telephones: [
    ['Call 555-123-4567.', 'Call five five five, one two three, four five six seven.'],
    ['+1 (555) 123-4567', 'plus one, five five five, one two three, four five six seven'],
    ['555-1234', 'five five five, one two three four'],
  ],
  addresses: [
    ['https://example.com/a-b.', 'example dot com slash a dash b.'],
    ['see www.example.org', 'see w w w dot example dot org'],
    ['Mail john.doe@gmail.com!', 'Mail john dot doe at gmail dot com!'],
    ['on github.com.', 'on github dot com.'],
    ['Stop.Then go', 'Stop.Then go'],
  ],
  abbreviations: [
    ['Dr. Smith, Mr Jones vs. Mrs. Jones', 'Doctor Smith, Mister Jones versus Missus Jones'],
    ['12 Main St. in St. Louis', 'twelve Main Street in Saint Louis'],
    ['e.g. this, i.e. that, etc.', 'for example this, that is that, et cetera.'],
    ['J. K. Rowling', 'J K Rowling'],
    ['in the U.S.A. now', 'in the U S A now'],
    ['in the U.S.', 'in the U S.'],
    ['w/o', 'without'],
  ],
  acronyms: [
    ['The FBI and NASA', 'The F B I and Nasa'],
    ['PCs and CDs', "P C's and C D's"],
    ['STOP now, OK?', 'stop now, OK?'],
    ['THIS IS A VERY LOUD SENTENCE', 'this is a very loud sentence'],
    ['AT&T, R&D', 'A T and T, R and D'],
    ['McDonald, iPhone, OpenAI, NaCl', 'McDonald, iPhone, OpenAI, NaCl'],
  ],
  codes: [
    ['MP3 B2B 4K 3D', 'M P three B two B four K three D'],
    ['GPT-4, COVID-19', 'G P T-four, Covid-nineteen'],
    ['A380', 'A three eight zero'],
  ],
  signs: [
    ['1+1=2', 'one plus one equals two'],
    ['salt & pepper', 'salt and pepper'],
    ['C++ and C#', 'C plus plus and C sharp'],
    ['~5 or >10', 'about five or more than ten'],
    ['3 × 4 ÷ 2', 'three times four divided by two'],
    ['50+ people', 'fifty plus people'],
    ['and/or, he/she, TCP/IP', 'and or, he or she, T C P I P'],
    ['**bold** and `code`', 'bold and code'],
    ['5 < 6', 'five is less than six'],
  ],
};

const CHINESE: Tables = {
  数字: [
    ['我有3个苹果', '我有三个苹果'],
    ['共１２３人', '共一百二十三人'],
    ['打9.5折', '打九点五折'],
    ['一共2,000元', '一共两千元'],
    ['温度是-5度', '温度是负五度'],
    ['编号0012', '编号零零一二'],
    ['第2个，2楼，2号，22个', '第二个，二楼，二号，二十二个'],
    ['2个人2次买了2公斤，2万，200', '两个人两次买了两公斤，两万，两百'],
  ],
  范围: [
    ['3-5天', '三到五天'],
    ['5～6个', '五到六个'],
    ['涨了5%-10%', '涨了百分之五到百分之十'],
    ['2019-2020年', '二零一九到二零二零年'],
    ['比分3-1', '比分三比一'],
    ['比例是3:1', '比例是三比一'],
    ['1/3的人', '三分之一的人'],
  ],
  量: [
    ['100元，¥3.50，$5，100万美元', '一百元，三点五元，五美元，一百万美元'],
    ['增长50%', '增长百分之五十'],
    ['跑了3.5km，速度60km/h', '跑了三点五公里，速度六十公里每小时'],
    ['2kg苹果', '两公斤苹果'],
    ['气温-5℃到25°C', '气温零下五摄氏度到二十五摄氏度'],
    ['面积100m²', '面积一百平方米'],
  ],
  日期: [
    ['今天是2025年3月4日', '今天是二零二五年三月四日'],
    ['日期：2025-03-04', '日期：二零二五年三月四日'],
    ['日期：2025/3/4', '日期：二零二五年三月四日'],
    ['1990年代', '一九九零年代'],
    ['2000年前，100年', '两千年前，一百年'],
    ['2月2号', '二月二号'],
  ],
  时间: [
    ['10:30开会', '十点三十分开会'],
    ['早上8：05', '早上八点零五分'],
    ['2:00到13:00', '两点整到十三点整'],
  ],
  电话: [
    ['电话13812345678', '电话幺三八幺二三四五六七八'],
    ['请拨打110', '请拨打幺幺零'],
    ['座机010-12345678', '座机零幺零幺二三四五六七八'],
  ],
  其他: [
    ['302路，1208室', '三零二路，一二零八室'],
    ['iPhone 15发布了，MP3播放器', 'iPhone 十五发布了，MP三播放器'],
    ['我买了iPhone 15 Pro手机', '我买了iPhone 十五 Pro手机'],
    ['苹果&香蕉', '苹果和香蕉'],
    ['#话题#', '话题'],
    ['官网www.example.com', '官网w w w 点 example 点 com'],
  ],
};

function checkAll(tables: Tables): void {
  for (const [about, table] of Object.entries(tables)) {
    it(about, () => {
      for (const [text, said] of table) assert.equal(normalizeText(text), said, text);
    });
  }
}

describe('normalizeText in English', () => {
  checkAll(ENGLISH);
});

describe('normalizeText in Chinese', () => {
  checkAll(CHINESE);
});

describe('normalizeText', () => {
  it('tells the language of a number by what is next to it', () => {
    const cases = [
      ['I have 3 apples. 我有3个苹果。', 'I have three apples. 我有三个苹果。'],
      ['My name is 王伟 and I have 3 cats', 'My name is 王伟 and I have three cats'],
      ['5', 'five'],
    ];
    for (const [text = '', said] of cases) assert.equal(normalizeText(text), said);
    assert.equal(normalizeText('5', 'zh-CN'), '五');
    assert.equal(normalizeText('5', 'en_GB'), 'five');
  });

  it('leaves other languages alone', () => {
    for (const [text, language] of [
      ['Il y a 3 pommes.', 'fr'],
      ['5', 'de'],
      ['東京で3個', undefined],
      ['東京3個', 'ja'],
      ['У меня 3 яблока', undefined],
      ['사과 3개', undefined],
    ] as const) {
      assert.equal(normalizeText(text, language), text);
    }
  });

  it('changes nothing where there is nothing to say otherwise, and nothing the second time', () => {
    const plain = [
      'Plain text, nothing here: just words; "quotes" — and dashes... Really?',
      "Don't touch it. It's fine!\n\nA new line.",
      '你好，世界！这是一句话。他说：“好的”。',
      `标${markOf('chong2') ?? ''}记`,
      '',
    ];
    for (const text of plain) assert.equal(normalizeText(text), text);
    for (const [text, said] of [...Object.values(ENGLISH), ...Object.values(CHINESE)].flat()) {
      // A single letter that was set off may then begin a name: "A M".
      if (!/\b[A-Z] [A-Z]\b|'s\b/.test(said)) assert.equal(normalizeText(said), said, text);
    }
  });

  it('leaves no digit, whatever the text', () => {
    const pieces = [
      ...'0123456789.,:/-+%$€°# ',
      ...['km', 'a', 'May ', '年', '月', '个', 'T', 'st', '\n'],
    ];
    let state = 7;
    for (let i = 0; i < 3000; i++) {
      let text = '';
      for (let k = 0; k < 14; k++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        text += pieces[Math.floor((state / 2 ** 32) * pieces.length)] ?? '';
      }
      assert.doesNotMatch(normalizeText(text), /\d|undefined|NaN/, JSON.stringify(text));
    }
  });

  it('takes linear time', () => {
    const units = [
      '1',
      '1 ',
      '1.',
      '1,',
      '1-',
      '1/',
      '1:',
      '+1 ',
      '$1 ',
      ' ',
      'AB ',
      'a.',
      'A. ',
      'a@',
    ];
    for (const unit of [...units, 'May ', 'the ', '*', '12 Aa ', '@ ', '我3个', '-', 'a-']) {
      const start = performance.now();
      normalizeText(`5${unit.repeat(Math.floor(50_000 / unit.length))}x`);
      assert.ok(performance.now() - start < 10_000, JSON.stringify(unit));
    }
  });
});
