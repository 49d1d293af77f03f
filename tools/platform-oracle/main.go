// Command platform-oracle tells what containerd makes of platforms. Tests compare sealift with it:
// each line of standard input names a machine and platforms that images are offered for, each line
// of standard output says how the machine is written, and which of them it runs, best first.
package main

import (
	"encoding/json"
	"os"
	"sort"

	"github.com/containerd/platforms"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

type question struct {
	Machine string           `json:"machine"`
	Offered []specs.Platform `json:"offered"`
}

type answer struct {
	Written string `json:"written"`
	Machine string `json:"machine"`
	Runs    []int  `json:"runs"`
	Error   string `json:"error,omitempty"`
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q question
		if err := in.Decode(&q); err != nil {
			return
		}
		if err := out.Encode(look(q)); err != nil {
			return
		}
	}
}

func look(q question) answer {
	written, err := platforms.Parse(q.Machine)
	if err != nil {
		return answer{Runs: []int{}, Error: err.Error()}
	}
	machine := platforms.Normalize(written)
	only := platforms.Only(machine)
	runs := []int{}
	for i, p := range q.Offered {
		if only.Match(p) {
			runs = append(runs, i)
		}
	}
	sort.SliceStable(runs, func(a, b int) bool {
		return only.Less(q.Offered[runs[a]], q.Offered[runs[b]])
	})
	return answer{Written: platforms.FormatAll(written), Machine: platforms.FormatAll(machine), Runs: runs}
}
