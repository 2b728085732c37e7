"""For people who test plugins: conformance kits, null providers, power cuts and damage."""
