// Package rules holds the rule files that postmoat ships.
package rules

import (
	"embed"
	"io/fs"

	"github.com/postmoat/postmoat/pkg/rule"
)

//go:generate go test -run=TestSpecs -write .

//go:embed *.yaml
var files embed.FS

// FS is the rule files, each at its own name.
var FS shipped

type shipped struct{}

// Open opens a rule file.
func (shipped) Open(name string) (fs.File, error) { return files.Open(name) }

// Specs are the rules of all files, as package config reads them, but without
// Spec.At. They must not be changed.
func (shipped) Specs() []rule.Spec { return specs[:] }
