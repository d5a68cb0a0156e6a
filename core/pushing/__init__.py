"""
From a plan to the vendors, and what came of it.

    deliver    one sync, from its sets to its audiences   targets          what a sync is aimed at
    delivery   what syncs share, what a run comes to      prepare          what its drafts are made from
    bind       which list or tag that is                  making           one that is about to be made
    foreign    who was in it before us                    trait_values     the fields that it writes
    reach      under which key somebody is known there    record           what came of each member
    follow     who was merged there                       recover          what a run that died left open
    push       intents, batches, outcomes                 answered         the vendor's words, fit to be shown
    beginning  what comes before the first member         sending          what a push is made with
    send       one batch, sent                            batches          how members make batches
    whole      an audience that is written whole          company_members  companies in place of people
                                                          member_values    what members carry besides
"""
