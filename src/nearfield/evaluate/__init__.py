"""How good are the hits, judged by people: BEIR files in, nDCG, MRR, MAP and Recall with intervals out."""
