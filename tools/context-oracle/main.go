// Command context-oracle tells what BuildKit's own client would send of a folder. Tests compare
// sealift with it: each line of standard input asks for a part of a folder, each line of standard
// output lists it.
package main

import (
	"context"
	"encoding/json"
	gofs "io/fs"
	"os"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

type question struct {
	Root    string   `json:"root"`
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
	Follow  []string `json:"follow"`
}

type file struct {
	Path     string `json:"path"`
	Mode     uint32 `json:"mode"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"`
	Link     string `json:"link"`
}

type answer struct {
	Files []file `json:"files"`
	Error string `json:"error,omitempty"`
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q question
		if err := in.Decode(&q); err != nil {
			return
		}
		files, err := list(q)
		a := answer{Files: files}
		if err != nil {
			a = answer{Files: []file{}, Error: err.Error()}
		}
		if err := out.Encode(a); err != nil {
			return
		}
	}
}

func list(q question) ([]file, error) {
	root, err := fsutil.NewFS(q.Root)
	if err != nil {
		return nil, err
	}
	// As BuildKit's client does: owners are reset below every other filter.
	root, err = fsutil.NewFilterFS(root, &fsutil.FilterOpt{Map: func(_ string, s *types.Stat) fsutil.MapResult {
		s.Uid, s.Gid = 0, 0
		return fsutil.MapResultKeep
	}})
	if err != nil {
		return nil, err
	}
	part, err := fsutil.NewFilterFS(root, &fsutil.FilterOpt{
		IncludePatterns: q.Include,
		ExcludePatterns: q.Exclude,
		FollowPaths:     q.Follow,
	})
	if err != nil {
		return nil, err
	}
	files := []file{}
	err = fsutil.WithHardlinkReset(part).Walk(context.Background(), "/", func(_ string, e gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s := info.Sys().(*types.Stat)
		files = append(files, file{s.Path, s.Mode, s.Size, s.ModTime, s.Linkname})
		return nil
	})
	return files, err
}
