// How many cores a process may keep busy.
#include "engine/cores.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "check.h"

namespace {

using voxpod::usable_cores;

/// A folder that goes with it.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "voxpod-cores-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }

 private:
  std::filesystem::path path_;
};

TEST(cores_test, "a control group's share is what counts where it is less than the cores") {
  const Folder group;
  EXPECT_EQUAL(usable_cores(8, group.path()), 8);
  EXPECT_EQUAL(usable_cores(0, group.path()), 1);  // the system does not say
  group.write("cpu.max", "max 100000\n");
  EXPECT_EQUAL(usable_cores(8, group.path()), 8);
  group.write("cpu.max", "250000 100000\n");
  EXPECT_EQUAL(usable_cores(8, group.path()), 3);
  EXPECT_EQUAL(usable_cores(2, group.path()), 2);
  group.write("cpu.max", "20000 100000\n");
  EXPECT_EQUAL(usable_cores(8, group.path()), 1);
}

TEST(cores_test, "version 1 of control groups") {
  const Folder group;
  group.write("cpu/cpu.cfs_quota_us", "-1\n");
  group.write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQUAL(usable_cores(8, group.path()), 8);
  group.write("cpu/cpu.cfs_quota_us", "400000\n");
  EXPECT_EQUAL(usable_cores(8, group.path()), 4);
}

TEST(cores_test, "this machine has one at least") { EXPECT(usable_cores() >= 1); }

}  // namespace
