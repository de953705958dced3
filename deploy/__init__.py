"""How the product is put to work: the demo on one machine, containers, replicas. The product itself never imports it."""
