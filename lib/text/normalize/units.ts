/** Units of measurement as they are written, and how they are said: one, several, Chinese. */
export type Unit = readonly [one: string, many: string, chinese: string];

const same = (name: string, chinese: string): Unit => [name, name, chinese];
const regular = (name: string, chinese: string): Unit => [name, `${name}s`, chinese];

export const UNITS: Readonly<Record<string, Unit>> = {
  'km/h': ['kilometer per hour', 'kilometers per hour', '公里每小时'],
  kmh: ['kilometer per hour', 'kilometers per hour', '公里每小时'],
  kph: ['kilometer per hour', 'kilometers per hour', '公里每小时'],
  'm/s²': ['meter per second squared', 'meters per second squared', '米每二次方秒'],
  'm/s': ['meter per second', 'meters per second', '米每秒'],
  mph: ['mile per hour', 'miles per hour', '英里每小时'],
  'km²': ['square kilometer', 'square kilometers', '平方公里'],
  'cm²': ['square centimeter', 'square centimeters', '平方厘米'],
  'm²': ['square meter', 'square meters', '平方米'],
  'cm³': ['cubic centimeter', 'cubic centimeters', '立方厘米'],
  'm³': ['cubic meter', 'cubic meters', '立方米'],
  '㎡': ['square meter', 'square meters', '平方米'],
  km: regular('kilometer', '公里'),
  cm: regular('centimeter', '厘米'),
  mm: regular('millimeter', '毫米'),
  µm: regular('micrometer', '微米'),
  μm: regular('micrometer', '微米'),
  nm: regular('nanometer', '纳米'),
  m: regular('meter', '米'),
  mi: regular('mile', '英里'),
  ft: ['foot', 'feet', '英尺'],
  yd: regular('yard', '码'),
  kg: regular('kilogram', '公斤'),
  mg: regular('milligram', '毫克'),
  µg: regular('microgram', '微克'),
  μg: regular('microgram', '微克'),
  g: regular('gram', '克'),
  lbs: regular('pound', '磅'),
  lb: regular('pound', '磅'),
  oz: regular('ounce', '盎司'),
  mL: regular('milliliter', '毫升'),
  ml: regular('milliliter', '毫升'),
  L: regular('liter', '升'),
  l: regular('liter', '升'),
  kWh: regular('kilowatt hour', '千瓦时'),
  mAh: regular('milliamp hour', '毫安时'),
  MW: regular('megawatt', '兆瓦'),
  kW: regular('kilowatt', '千瓦'),
  W: regular('watt', '瓦'),
  kV: regular('kilovolt', '千伏'),
  mV: regular('millivolt', '毫伏'),
  V: regular('volt', '伏'),
  mA: regular('milliamp', '毫安'),
  GHz: same('gigahertz', '吉赫'),
  MHz: same('megahertz', '兆赫'),
  kHz: same('kilohertz', '千赫'),
  Hz: same('hertz', '赫兹'),
  Gbps: ['gigabit per second', 'gigabits per second', '吉比特每秒'],
  Mbps: ['megabit per second', 'megabits per second', '兆比特每秒'],
  kbps: ['kilobit per second', 'kilobits per second', '千比特每秒'],
  'MB/s': ['megabyte per second', 'megabytes per second', '兆字节每秒'],
  'GB/s': ['gigabyte per second', 'gigabytes per second', '吉字节每秒'],
  TB: regular('terabyte', 'T B'),
  GB: regular('gigabyte', 'G B'),
  MB: regular('megabyte', '兆'),
  KB: regular('kilobyte', 'K B'),
  kB: regular('kilobyte', 'K B'),
  kcal: regular('kilocalorie', '千卡'),
  dB: regular('decibel', '分贝'),
  rpm: ['revolution per minute', 'revolutions per minute', '转每分钟'],
  fps: ['frame per second', 'frames per second', '帧每秒'],
  px: regular('pixel', '像素'),
  hrs: regular('hour', '小时'),
  hr: regular('hour', '小时'),
  h: regular('hour', '小时'),
  mins: regular('minute', '分钟'),
  min: regular('minute', '分钟'),
  secs: regular('second', '秒'),
  sec: regular('second', '秒'),
  ms: regular('millisecond', '毫秒'),
  s: regular('second', '秒'),
  '°C': ['degree Celsius', 'degrees Celsius', '摄氏度'],
  '℃': ['degree Celsius', 'degrees Celsius', '摄氏度'],
  '°F': ['degree Fahrenheit', 'degrees Fahrenheit', '华氏度'],
  '℉': ['degree Fahrenheit', 'degrees Fahrenheit', '华氏度'],
  '°': ['degree', 'degrees', '度'],
};

export interface Currency {
  one: string;
  many: string;
  /** Of the hundredth part; undefined where there is none. */
  small?: readonly [one: string, many: string];
  chinese: string;
}

const cents = ['cent', 'cents'] as const;
const dollar = (country: string, chinese: string): Currency => ({
  one: `${country}dollar`,
  many: `${country}dollars`,
  small: cents,
  chinese,
});
const plain = (name: string, chinese: string): Currency => ({ one: name, many: name, chinese });

export const CURRENCIES: Readonly<Record<string, Currency>> = {
  $: dollar('', '美元'),
  US$: dollar('US ', '美元'),
  HK$: dollar('Hong Kong ', '港元'),
  NT$: dollar('New Taiwan ', '新台币'),
  A$: dollar('Australian ', '澳元'),
  C$: dollar('Canadian ', '加元'),
  S$: dollar('Singapore ', '新加坡元'),
  '€': { one: 'euro', many: 'euros', small: cents, chinese: '欧元' },
  '£': { one: 'pound', many: 'pounds', small: ['penny', 'pence'], chinese: '英镑' },
  '¥': plain('yuan', '元'),
  '￥': plain('yuan', '元'),
  '₹': { one: 'rupee', many: 'rupees', small: ['paisa', 'paise'], chinese: '卢比' },
  '₩': plain('won', '韩元'),
  USD: dollar('US ', '美元'),
  HKD: dollar('Hong Kong ', '港元'),
  EUR: { one: 'euro', many: 'euros', small: cents, chinese: '欧元' },
  GBP: { one: 'pound', many: 'pounds', small: ['penny', 'pence'], chinese: '英镑' },
  CNY: plain('yuan', '元'),
  RMB: plain('yuan', '元'),
  JPY: plain('yen', '日元'),
};

/** Behind a number: how much it is multiplied. */
export const MAGNITUDES: Readonly<Record<string, readonly [english: string, chinese: string]>> = {
  thousand: ['thousand', '千'],
  million: ['million', '百万'],
  billion: ['billion', '十亿'],
  trillion: ['trillion', '万亿'],
  k: ['thousand', '千'],
  K: ['thousand', '千'],
  m: ['million', '百万'],
  M: ['million', '百万'],
  bn: ['billion', '十亿'],
  b: ['billion', '十亿'],
  B: ['billion', '十亿'],
  T: ['trillion', '万亿'],
  tn: ['trillion', '万亿'],
};
