// Package rules holds the rule files that postmoat ships.
package rules

import "embed"

// FS is the rule files, each at its own name.
//
//go:embed *.yaml
var FS embed.FS
