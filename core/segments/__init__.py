"""
Segments: text to tree, tree to SQL, SQL to sets of people; and what a person may ask of these.

    language         text, checked            definitions      all of a config's, and what each rests on
    reader           to a typed tree          texts            expressions before they are read
    comparisons      of chains and lists      traits, traits_  those of `[traits.NAME]`
    words/           of called words          vocabulary       what can be named
    types            what goes with what      list_files       those of `in_list`
    calendar         periods and zones        kept_history     whether what is asked of the past is kept

    tree, tree_      the tree                 rests, unseen    what it names, and what of that was never seen
    compile          a leaf to SQL            facts            the store at one moment
    compile_         a kind of it             dialect, exact   SQLite's own way, and decimals in it
    predicate        a test                   sql_guard        queries of the user's own
    relation         a value of people        indexes          side columns of events

    evaluate         leaves to sets           incremental      those of an earlier time, brought up to date
    together         several in one           incremental_     what can change one, and whom it has to be asked of
    parallel         by several threads       few              asked of a few people alone
    companies        whose users hold         sets_of          asked of one person alone

    explain          why somebody is in       describe         what `tagalong fields` shows
    explain_         a part of that           doubts, funnel   what may be wrong with a set, and a set taken apart
                                              moves, flapping  who came and went
"""
