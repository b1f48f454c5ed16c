"""The typst texts of the close pack's documents; figures and names come as data, never as markup."""

PAGE = """
#let data = json(bytes(sys.inputs.data))
#set page(paper: "a4", margin: (x: 18mm, y: 16mm), flipped: data.at("wide", default: false),
  footer: context align(center, text(8pt)[#data.foot #h(1em) #counter(page).display("1 / 1", both: true)]))
#set text(font: "Noto Sans CJK SC", size: 9pt, lang: "zh")
#align(center, text(15pt, weight: "bold", data.title))
#align(center, text(10pt, data.subtitle))
#v(3mm)
#let facts(rows) = grid(columns: (auto, 1fr), column-gutter: 4mm, row-gutter: 2mm,
  ..rows.map(row => (text(fill: luma(90), row.at(0)), row.at(1))).flatten())
#let figures(one) = [
  #v(3mm)
  #block(sticky: true, text(11pt, weight: "bold", one.title))
  #if one.rows.len() == 0 [ #text(fill: luma(90))[无 None] ] else [
    #table(columns: one.columns.len(), stroke: 0.4pt + luma(150), inset: 4pt,
      align: (x, y) => if y > 0 and one.right.contains(x) { right } else { left },
      table.header(..one.columns.map(name => text(weight: "bold", name))),
      ..one.rows.flatten())
  ]
]
"""

TABLES = (
    PAGE
    + """
#facts(data.facts)
#for one in data.tables { figures(one) }
"""
)

CLOSE_SHEET = (
    PAGE
    + """
#facts(data.facts)
#for one in data.tables { figures(one) }
#v(4mm)
#block(stroke: 0.8pt, inset: 4mm, width: 100%)[
  #text(weight: "bold")[链头 Chain head（序号 sequence #data.sequence）]
  #v(1mm)
  #text(13pt, data.head)
  #v(1mm)
  本页签字后由两人分别在系统外保存。核对：#raw("estate ledger verify PACK --head") 后接上面的链头。
]
#v(8mm)
#let blank(name) = [#name：#box(width: 1fr, line(length: 100%, stroke: 0.4pt))]
#grid(columns: (1fr, 1fr), column-gutter: 12mm, row-gutter: 10mm,
  [结账人 Closed by：#data.closed_by], blank[复核人 Reviewed by],
  blank[签字 Signature], blank[签字 Signature], blank[日期 Date], blank[日期 Date])
"""
)
