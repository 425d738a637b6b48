package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are the programs of the scripts.
var commands = map[string]func(){"postmoat": main}

// TestScript runs testdata/script/*.txtar: what an operator types and reads.
func TestScript(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", root+"/../..")
			e.Setenv("TZ", "UTC")
			return nil
		},
	})
}
