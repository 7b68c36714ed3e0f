"""Xid: what the NVIDIA driver reports in the kernel log.

Names: nverror.h of open-gpu-kernel-modules 595.45.04; those that it leaves out, and what to do: NVIDIA's Xid catalog.
"""

from __future__ import annotations

from sparkdoctor.codes import table

SOURCE = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"

XID = table(
    """
1 ROBUST_CHANNEL_FIFO_ERROR_FIFO_METHOD | not used by current drivers, or for tests only
2 ROBUST_CHANNEL_FIFO_ERROR_SW_METHOD | not used by current drivers, or for tests only
3 ROBUST_CHANNEL_FIFO_ERROR_UNK_METHOD | not used by current drivers, or for tests only
4 ROBUST_CHANNEL_FIFO_ERROR_CHANNEL_BUSY | not used by current drivers, or for tests only
5 ROBUST_CHANNEL_FIFO_ERROR_RUNOUT_OVERFLOW | not used by current drivers, or for tests only
6 ROBUST_CHANNEL_FIFO_ERROR_PARSE_ERR | not used by current drivers, or for tests only
7 ROBUST_CHANNEL_FIFO_ERROR_PTE_ERR | not used by current drivers, or for tests only
8 ROBUST_CHANNEL_FIFO_ERROR_IDLE_TIMEOUT | the GPU made no progress on a channel for too long | restart the program; if it comes back, look for a bug in a kernel or for a driver update
9 ROBUST_CHANNEL_GR_ERROR_INSTANCE | not used by current drivers, or for tests only
10 ROBUST_CHANNEL_GR_ERROR_SINGLE_STEP | not used by current drivers, or for tests only
11 ROBUST_CHANNEL_GR_ERROR_MISSING_HW | a damaged stream of commands came to the GPU | restart the program; if it comes back, look for a bug in a kernel or for a driver update
12 ROBUST_CHANNEL_GR_ERROR_SW_METHOD | not used by current drivers, or for tests only
13 ROBUST_CHANNEL_GR_EXCEPTION | an engine that runs kernels raised an exception: an address out of range, an illegal instruction, a misaligned access | restart the program; most often a bug in a kernel or one built for another architecture, else faulty hardware
14 ROBUST_CHANNEL_FAKE_ERROR | not used by current drivers, or for tests only
15 ROBUST_CHANNEL_SCANLINE_TIMEOUT | not used by current drivers, or for tests only
16 ROBUST_CHANNEL_VBLANK_CALLBACK_TIMEOUT | not used by current drivers, or for tests only
17 ROBUST_CHANNEL_PARAMETER_ERROR | not used by current drivers, or for tests only
18 ROBUST_CHANNEL_BUS_MASTER_TIMEOUT_ERROR | not used by current drivers, or for tests only
19 ROBUST_CHANNEL_DISP_MISSED_NOTIFIER | not used by current drivers, or for tests only
20 ROBUST_CHANNEL_MPEG_ERROR_SW_METHOD | not used by current drivers, or for tests only
21 ROBUST_CHANNEL_ME_ERROR_SW_METHOD | not used by current drivers, or for tests only
22 ROBUST_CHANNEL_VP_ERROR_SW_METHOD | not used by current drivers, or for tests only
23 ROBUST_CHANNEL_RC_LOGGING_ENABLED | not used by current drivers, or for tests only
24 ROBUST_CHANNEL_GR_SEMAPHORE_TIMEOUT | not used by current drivers, or for tests only
25 ROBUST_CHANNEL_GR_ILLEGAL_NOTIFY | an illegal stream of commands came to the GPU | restart the program; if it comes back, look for a bug in a kernel or for a driver update
26 ROBUST_CHANNEL_FIFO_ERROR_FBISTATE_TIMEOUT | not used by current drivers, or for tests only
27 ROBUST_CHANNEL_VP_ERROR | not used by current drivers, or for tests only
28 ROBUST_CHANNEL_VP2_ERROR | not used by current drivers, or for tests only
29 ROBUST_CHANNEL_BSP_ERROR | not used by current drivers, or for tests only
30 ROBUST_CHANNEL_BAD_ADDR_ACCESS | not used by current drivers, or for tests only
31 ROBUST_CHANNEL_FIFO_ERROR_MMU_ERR_FLT | a kernel touched memory that it does not have (MMU fault) | restart the program; most often a bug in a kernel or wrong sizes given to it
32 ROBUST_CHANNEL_PBDMA_ERROR | a damaged stream of commands came to the GPU (PBDMA error) | restart the program; if it comes back, look for a bug in a kernel or for a driver update
33 ROBUST_CHANNEL_SEC_ERROR | not used by current drivers, or for tests only
34 ROBUST_CHANNEL_MSVLD_ERROR | not used by current drivers, or for tests only
35 ROBUST_CHANNEL_MSPDEC_ERROR | not used by current drivers, or for tests only
36 ROBUST_CHANNEL_MSPPP_ERROR | not used by current drivers, or for tests only
37 ROBUST_CHANNEL_FECS_ERR_UNIMP_FIRMWARE_METHOD | firmware of the GPU got a request that it does not know | nothing at once; look for a driver update if it comes back
38 ROBUST_CHANNEL_FECS_ERR_WATCHDOG_TIMEOUT | firmware of the GPU did not answer its watchdog | nothing at once; a driver update or support if it comes back
39 ROBUST_CHANNEL_CE0_ERROR | an error of copy engine 0 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
40 ROBUST_CHANNEL_CE1_ERROR | an error of copy engine 1 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
41 ROBUST_CHANNEL_CE2_ERROR | an error of copy engine 2 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
42 ROBUST_CHANNEL_VIC_ERROR | not used by current drivers, or for tests only
43 ROBUST_CHANNEL_RESETCHANNEL_VERIF_ERROR | the channel of a program was stopped after a fault of its own | follow the Xid before it; the GPU itself is healthy, restart the program
44 ROBUST_CHANNEL_GR_FAULT_DURING_CTXSW | a fault while the GPU changed from one program to another | follow the Xid before it
45 ROBUST_CHANNEL_PREEMPTIVE_REMOVAL | the driver removed a program's channels: it was killed, or an earlier error brought it down | follow the Xid before it
46 ROBUST_CHANNEL_GPU_TIMEOUT_ERROR | the GPU did not answer in time | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
47 ROBUST_CHANNEL_NVENC0_ERROR | an error of video encoder 0 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
48 ROBUST_CHANNEL_GPU_ECC_DBE | an uncorrectable (double bit) error in the GPU's memory | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot; support if it comes back
49 SILENT_RUNNING_CONSTANT_LEVEL_SET_BY_REGISTRY | not used by current drivers, or for tests only
50 SILENT_RUNNING_LEVEL_TRANSITION_DUE_TO_RC_ERROR | not used by current drivers, or for tests only
51 SILENT_RUNNING_STRESS_TEST_FAILURE | not used by current drivers, or for tests only
52 SILENT_RUNNING_LEVEL_TRANS_DUE_TO_TEMP_RISE | not used by current drivers, or for tests only
53 SILENT_RUNNING_TEMP_REDUCED_CLOCKING | not used by current drivers, or for tests only
54 SILENT_RUNNING_PWR_REDUCED_CLOCKING | the auxiliary power is not connected | check the power cables
55 SILENT_RUNNING_TEMPERATURE_READ_ERROR | not used by current drivers, or for tests only
56 DISPLAY_CHANNEL_EXCEPTION | an error of the display engine
57 FB_LINK_TRAINING_FAILURE_ERROR | training of the memory link failed
58 FB_MEMORY_ERROR | an error of the frame buffer's memory
59 PMU_ERROR | an error of the power management unit
60 ROBUST_CHANNEL_SEC2_ERROR | an exception of the security processor SEC2 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
61 PMU_BREAKPOINT | the power management unit stopped at a breakpoint
62 PMU_HALT_ERROR | the power management unit halted | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
63 INFOROM_PAGE_RETIREMENT_EVENT | a faulty row of GPU memory was marked to be replaced | nothing at once; it takes effect at the next reset
64 INFOROM_PAGE_RETIREMENT_FAILURE | a faulty row of GPU memory could not be marked to be replaced | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot; support if it comes back
65 ROBUST_CHANNEL_NVENC1_ERROR | an error of video encoder 1 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
66 ROBUST_CHANNEL_FECS_ERR_REG_ACCESS_VIOLATION | the driver made an access that the hardware forbids | look for a driver update
67 ROBUST_CHANNEL_FECS_ERR_VERIF_VIOLATION | the driver made an access that the hardware forbids | look for a driver update
68 ROBUST_CHANNEL_NVDEC0_ERROR | an error of video decoder 0 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
69 ROBUST_CHANNEL_GR_CLASS_ERROR | a kernel used a class or method that the engine does not have | restart the program; if it comes back, look for a bug in a kernel or for a driver update
70 ROBUST_CHANNEL_CE3_ERROR | an error of copy engine 3 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
71 ROBUST_CHANNEL_CE4_ERROR | an error of copy engine 4 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
72 ROBUST_CHANNEL_CE5_ERROR | an error of copy engine 5 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
73 ROBUST_CHANNEL_NVENC2_ERROR | an error of video encoder 2 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
74 NVLINK_ERROR | an error of NVLink | look at nvidia-smi nvlink -e; stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
75 ROBUST_CHANNEL_CE6_ERROR | an error of copy engine 6 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
76 ROBUST_CHANNEL_CE7_ERROR | an error of copy engine 7 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
77 ROBUST_CHANNEL_CE8_ERROR | an error of copy engine 8 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
78 VGPU_START_ERROR | a virtual GPU could not start | compare the versions of host and guest drivers
79 ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS | the GPU does not answer on its bus any more | power cycle the machine; look at temperature, power supply and PCIe errors before it in the kernel log
80 PBDMA_PUSHBUFFER_CRC_MISMATCH | data sent to the GPU was damaged on the way (CRC) | restart the program; if it comes back, look for a bug in a kernel or for a driver update
81 ROBUST_CHANNEL_VGA_SUBSYSTEM_ERROR | not used by current drivers, or for tests only
82 ROBUST_CHANNEL_NVJPG0_ERROR | an error of JPEG engine 0 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
83 ROBUST_CHANNEL_NVDEC1_ERROR | an error of video decoder 1 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
84 ROBUST_CHANNEL_NVDEC2_ERROR | an error of video decoder 2 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
85 ROBUST_CHANNEL_CE9_ERROR | an error of copy engine 9 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
86 ROBUST_CHANNEL_OFA0_ERROR | an error of optical flow engine 0 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
87 NVTELEMETRY_DRIVER_REPORT | not used by current drivers, or for tests only
88 ROBUST_CHANNEL_NVDEC3_ERROR | an error of video decoder 3 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
89 ROBUST_CHANNEL_NVDEC4_ERROR | an error of video decoder 4 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
90 LTC_ERROR | not used by current drivers, or for tests only
91 RESERVED_XID | not used by current drivers, or for tests only
92 EXCESSIVE_SBE_INTERRUPTS | many corrected (single bit) errors of the GPU's memory | nothing at once; support if it goes on
93 INFOROM_ERASE_LIMIT_EXCEEDED | the InfoROM was written more often than planned | nothing at once
94 ROBUST_CHANNEL_CONTAINED_ERROR | a memory error that hit one program only | restart the program that it hit
95 ROBUST_CHANNEL_UNCONTAINED_ERROR | a memory error that may have hit every program | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
96 ROBUST_CHANNEL_NVDEC5_ERROR | an error of video decoder 5 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
97 ROBUST_CHANNEL_NVDEC6_ERROR | an error of video decoder 6 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
98 ROBUST_CHANNEL_NVDEC7_ERROR | an error of video decoder 7 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
99 ROBUST_CHANNEL_NVJPG1_ERROR | an error of JPEG engine 1 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
100 ROBUST_CHANNEL_NVJPG2_ERROR | an error of JPEG engine 2 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
101 ROBUST_CHANNEL_NVJPG3_ERROR | an error of JPEG engine 3 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
102 ROBUST_CHANNEL_NVJPG4_ERROR | an error of JPEG engine 4 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
103 ROBUST_CHANNEL_NVJPG5_ERROR | an error of JPEG engine 5 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
104 ROBUST_CHANNEL_NVJPG6_ERROR | an error of JPEG engine 6 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
105 ROBUST_CHANNEL_NVJPG7_ERROR | an error of JPEG engine 7 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
106 SMBPBI_TEST_MESSAGE | not used by current drivers, or for tests only
107 SMBPBI_TEST_MESSAGE_SILENT | not used by current drivers, or for tests only
108 NVLINK_REMOTE_TRANSLATION_ERROR | not used by current drivers, or for tests only
109 ROBUST_CHANNEL_CTXSW_TIMEOUT_ERROR | the GPU could not change from one program to another in time | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
110 SEC_FAULT_ERROR | a security fault | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
111 BUNDLE_ERROR_EVENT | not used by current drivers, or for tests only
112 DISP_SUPERVISOR_ERROR | not used by current drivers, or for tests only
113 DP_LT_FAILURE | not used by current drivers, or for tests only
114 HEAD_RG_UNDERFLOW | not used by current drivers, or for tests only
115 CORE_CHANNEL_REGS | not used by current drivers, or for tests only
116 WINDOW_CHANNEL_REGS | not used by current drivers, or for tests only
117 CURSOR_CHANNEL_REGS | not used by current drivers, or for tests only
118 HEAD_REGS | not used by current drivers, or for tests only
119 GSP_RPC_TIMEOUT | the driver waited in vain for the GPU's system processor (GSP) | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot; then update the driver
120 GSP_ERROR | the GPU's system processor (GSP) failed | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot; then update the driver
121 C2C_ERROR | an error of the link between CPU and GPU (C2C) | nothing at once; support if it goes on
122 SPI_PMU_RPC_READ_FAIL | not used by current drivers, or for tests only
123 SPI_PMU_RPC_WRITE_FAIL | not used by current drivers, or for tests only
124 SPI_PMU_RPC_ERASE_FAIL | not used by current drivers, or for tests only
125 INFOROM_FS_ERROR | the file system of the InfoROM has an error
126 ROBUST_CHANNEL_CE10_ERROR | an error of copy engine 10 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
127 ROBUST_CHANNEL_CE11_ERROR | an error of copy engine 11 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
128 ROBUST_CHANNEL_CE12_ERROR | an error of copy engine 12 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
129 ROBUST_CHANNEL_CE13_ERROR | an error of copy engine 13 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
130 ROBUST_CHANNEL_CE14_ERROR | an error of copy engine 14 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
131 ROBUST_CHANNEL_CE15_ERROR | an error of copy engine 15 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
132 ROBUST_CHANNEL_CE16_ERROR | an error of copy engine 16 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
133 ROBUST_CHANNEL_CE17_ERROR | an error of copy engine 17 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
134 ROBUST_CHANNEL_CE18_ERROR | an error of copy engine 18 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
135 ROBUST_CHANNEL_CE19_ERROR | an error of copy engine 19 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
136 ALI_TRAINING_FAIL | training of a link failed | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
137 NVLINK_PRIV_ERR | a remote access over NVLink was not allowed | most often a bug in the program: restart the program; if it comes back, look for a bug in a kernel or for a driver update
138 ROBUST_CHANNEL_DLA_ERROR | not used by current drivers, or for tests only
139 ROBUST_CHANNEL_OFA1_ERROR | an error of optical flow engine 1 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
140 UNRECOVERABLE_ECC_ERROR_ESCAPE | an uncorrectable memory error was not contained | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
141 ROBUST_CHANNEL_FAST_PATH_ERROR | an error of CUDA's fast path | nothing at once
142 ROBUST_CHANNEL_NVENC3_ERROR | an error of video encoder 3 | restart the program; if it comes back, look for a bug in a kernel or for a driver update
143 GPU_INIT_ERROR | the GPU could not be initialised | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
144 NVLINK_SAW_ERROR | an NVLink error (unit SAW) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
145 NVLINK_RLW_ERROR | an NVLink error (unit RLW) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
146 NVLINK_TLW_ERROR | an NVLink error (unit TLW) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
147 NVLINK_TREX_ERROR | an NVLink error (unit TREX) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
148 NVLINK_NVLPW_CTRL_ERROR | an NVLink error (unit NVLPW_CTRL) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
149 NVLINK_NETIR_ERROR | an NVLink error (unit NETIR) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
150 NVLINK_MSE_ERROR | an NVLink error (unit MSE) | look at nvidia-smi nvlink -e; an Xid 154 after it names the action
151 ROBUST_CHANNEL_KEY_ROTATION_ERROR | the rotation of keys failed | restart the virtual machine
152 ROBUST_CHANNEL_DLA_SMMU_ERROR | not used by current drivers, or for tests only
153 ROBUST_CHANNEL_DLA_TIMEOUT | not used by current drivers, or for tests only
154 GPU_RECOVERY_ACTION_CHANGED | the driver tells how to recover from another Xid: the line names the action | do what the line says; follow the Xid before it
155 NVLINK_SW_DEFINED_ERROR | an NVLink error that software reports | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
156 RESOURCE_RETIREMENT_EVENT | a faulty resource of the GPU was retired | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
157 RESOURCE_RETIREMENT_FAILURE | a faulty resource of the GPU could not be retired | support if it comes back
158 GPU_FATAL_TIMEOUT | the GPU did not answer in time, for good | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
159 ROBUST_CHANNEL_CHI_NON_DATA_ERROR | an error of the CHI bus between CPU and GPU that did not touch data | follow the Xid before it
160 CHANNEL_RETIREMENT_EVENT | a channel was retired
161 CHANNEL_RETIREMENT_FAILURE | a channel could not be retired
162 ISINK_REENGAGED | power smoothing is active again | nothing
163 ISINK_DISENGAGED | power smoothing is off | nothing
164 ISINK_LOW_LIFETIME | the hardware for power smoothing nears the end of its life
165 ISINK_ZERO_LIFETIME | the hardware for power smoothing is used up
166 NVLINK_SECURE_NVLE_ERROR | encrypted traffic over NVLink came before the link was set up for it
167 PCIE_FATAL_TIMEOUT | PCIe did not answer in time, for good | power cycle the machine; look at PCIe errors in the kernel log
168 REDUCED_GPU_MEMORY_CAPACITY | errors in a protected region have reduced the GPU's memory
169 SEC2_HALT_ERROR | the security processor SEC2 halted | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
170 NVLINK_SECURE_ERROR | an interrupt of NVLink in confidential computing mode
171 UNCORRECTABLE_DRAM_ERROR | an uncorrectable error in DRAM; says more about an Xid 48 | follow the Xid before it
172 UNCORRECTABLE_SRAM_ERROR | an uncorrectable error in SRAM; says more about an Xid 48 | follow the Xid before it
173 C2C_FATAL_LINK_FAILURE | the link between CPU and GPU (C2C) failed for good | power cycle the machine
174 ROBUST_CHANNEL_RESETCHANNEL_KILL_PROCESS_SILENT | a channel was reset and its process killed | follow the Xid before it
175 MEMORY_SUBSYSTEM_ERROR | an error of the memory subsystem | stop all that uses the GPU, then reset it (nvidia-smi --gpu-reset) or reboot
176 PCIE_CORRECTABLE_ERROR_FAULT | a fault of correctable PCIe errors
"""
)
FOLLOW = frozenset({43, 44, 45, 154, 171, 172, 174})
"""Those that follow another one."""
QUIET = frozenset({14, 63, 92, 93, 106, 107, 121, 162, 163, 164})
"""Those after which programs go on."""
