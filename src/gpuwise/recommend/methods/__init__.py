"""The methods: one module per finding, named after it; `gpuwise.recommend.plan` lists them in order."""
